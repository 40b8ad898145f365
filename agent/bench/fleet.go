package main

import (
	"bufio"
	"context"
	_ "embed" // the guest's source
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/evenkeel/evenkeel/agent"
)

// vcpus is how many a VM has; beside them are a main thread and four more, as
// QEMU's.
const vcpus = 2

// idle is a VM's source. A Go program would not do: its runtime's own threads
// switch more often than an idle guest does.
//
//go:embed guest/idle.c
var idle []byte

// compile makes the guest's binary in a folder.
func compile(ctx context.Context, dir string) (path string, err error) {
	source, path := filepath.Join(dir, "idle.c"), filepath.Join(dir, "idle")
	if err := os.WriteFile(source, idle, 0o600); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "cc", "-O2", "-static", "-pthread", "-o", path, source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile the guest (Debian: gcc libc6-dev): %w: %s", err, out)
	}
	return path, nil
}

// fleet is the VMs of this host.
type fleet struct {
	guests []agent.Guest
	cmds   []*exec.Cmd
	stdins []io.Closer
}

func startFleet(binary string, vms, hertz int) (*fleet, error) {
	f := &fleet{}
	for i := range vms {
		if err := f.start(binary, i, hertz); err != nil {
			f.stop()
			return nil, fmt.Errorf("VM %d: %w", i, err)
		}
	}
	return f, nil
}

func (f *fleet) start(binary string, i, hertz int) error {
	cmd := exec.Command(binary, strconv.Itoa(vcpus), strconv.Itoa(hertz))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	f.cmds, f.stdins = append(f.cmds, cmd), append(f.stdins, stdin)
	g := agent.Guest{UUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Name: fmt.Sprint("vm", i), PID: cmd.Process.Pid}
	lines := bufio.NewReader(stdout)
	for range vcpus {
		line, err := lines.ReadString('\n')
		tid, bad := strconv.Atoi(line[:max(len(line)-1, 0)])
		if err := errors.Join(err, bad); err != nil {
			return err
		}
		g.VCPUThreads = append(g.VCPUThreads, tid)
	}
	f.guests = append(f.guests, g)
	return nil
}

func (f *fleet) stop() {
	for _, in := range f.stdins {
		_ = in.Close()
	}
	for _, cmd := range f.cmds {
		_ = cmd.Wait()
	}
}
