package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
)

// contender is something that watches while the workload runs.
type contender struct {
	name  string
	start func(context.Context) (running, error)
}

// running is a contender at work.
type running struct {
	stop func()
	// counted says what it has counted of the workload so far; nil if it does
	// not tell.
	counted func() (uint64, error)
}

var nothing = contender{"nothing", func(context.Context) (running, error) { return running{stop: func() {}}, nil }}

func bare(tracepoint string) contender {
	return contender{"bare hook", func(context.Context) (running, error) {
		stop, err := bareHook(tracepoint)
		return running{stop: stop}, err
	}}
}

// tool is a program of somebody else's. It is at work when it has as many
// programs in the kernel as it will have, for half a second.
func tool(name string, argv ...string) contender {
	return contender{name, func(ctx context.Context) (running, error) {
		before, err := loaded()
		if err != nil {
			return running{}, err
		}
		cmd := exec.Command(argv[0], argv[1:]...)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			return running{}, fmt.Errorf("%s (Debian packages bpftrace, libbpf-tools): %w", name, err)
		}
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		stop := func() {
			_ = cmd.Process.Signal(syscall.SIGINT)
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				_ = cmd.Process.Kill()
				<-done
			}
		}
		if err := settled(ctx, before, done); err != nil {
			stop()
			return running{}, fmt.Errorf("%s: %w; it said: %.400s", name, err, said.Bytes())
		}
		return running{stop: stop}, nil
	}}
}

func settled(ctx context.Context, before map[ebpf.ProgramID]bool, done <-chan struct{}) error {
	const look, enough = 50 * time.Millisecond, 10
	have, same := 0, 0
	for range 200 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return errors.New("it ended by itself")
		case <-time.After(look):
		}
		now, err := loaded()
		if err != nil {
			return err
		}
		n := 0
		for id := range now {
			if !before[id] {
				n++
			}
		}
		same++
		if n != have || n == 0 {
			have, same = n, 0
		}
		if same >= enough {
			return nil
		}
	}
	return errors.New("it loaded no program within ten seconds")
}

// found says whether a program is on PATH.
func found(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// tracing mounts, for this process and its children alone, what bpftrace looks
// for; the caller's thread has its own mount namespace.
func tracing() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if _, err := os.Stat("/sys/kernel/debug/tracing/events/sched"); err == nil {
		return nil
	}
	if err := syscall.Mount("none", "/sys/kernel/debug", "debugfs", 0, ""); err != nil {
		return fmt.Errorf("mount debugfs: %w", err)
	}
	if _, err := os.Stat("/sys/kernel/debug/tracing/events/sched"); err == nil {
		return nil
	}
	if err := syscall.Mount("none", "/sys/kernel/debug/tracing", "tracefs", 0, ""); err != nil {
		return fmt.Errorf("mount tracefs: %w", err)
	}
	return nil
}
