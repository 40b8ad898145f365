package lab

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func sleeper(t *testing.T) (*exec.Cmd, Process) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, p
}

func TestAReusedProcessIDIsAStranger(t *testing.T) {
	_, p := sleeper(t)
	stranger := Process{PID: p.PID, StartTime: p.StartTime + 1}
	if stranger.Alive() {
		t.Error("a process with another start time counts as ours")
	}
	if err := stranger.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a stranger: %v, want %v", err, os.ErrProcessDone)
	}
	if !p.Alive() {
		t.Error("the stranger was killed")
	}
}

func TestKillWaitsForTheEnd(t *testing.T) {
	_, p := sleeper(t)
	if err := p.kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	// No one has reaped it yet: a zombie is not alive.
	if p.Alive() {
		t.Error("alive after kill")
	}
	if err := p.kill(t.Context()); err != nil {
		t.Errorf("a second kill: %v", err)
	}
	if err := (Process{}).Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a process that never was: %v", err)
	}
}
