package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/agent"
)

// vcpus is how many a VM has. Beside them are the runtime's own threads, as
// QEMU has its workers.
const vcpus = 2

// guest is a process's life as a VM: threads named as QEMU names its vCPUs,
// each of which wakes up, does next to nothing, and sleeps. It prints their ids.
func guest(hertz int) error {
	if hertz < 1 || hertz > 1000 {
		return fmt.Errorf("-hertz is %d, must lie between 1 and 1000", hertz)
	}
	tids := make(chan int)
	for n := range vcpus {
		go func() {
			runtime.LockOSThread()
			name, _ := unix.BytePtrFromString(fmt.Sprintf("CPU %d/KVM", n)) // has no NUL
			if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0); err != nil {
				fmt.Fprintln(os.Stderr, "bench: name a thread:", err)
			}
			tids <- unix.Gettid()
			ts := unix.NsecToTimespec(time.Second.Nanoseconds() / int64(hertz))
			for {
				// The kernel's own sleep, on this very thread; a signal cuts it short.
				_ = unix.Nanosleep(&ts, nil)
			}
		}()
	}
	for range vcpus {
		fmt.Println(<-tids)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// fleet is the VMs of this host.
type fleet struct {
	guests []agent.Guest
	cmds   []*exec.Cmd
	stdins []io.Closer
}

func startFleet(vms, hertz int) (*fleet, error) {
	f := &fleet{}
	for i := range vms {
		if err := f.start(i, hertz); err != nil {
			f.stop()
			return nil, fmt.Errorf("VM %d: %w", i, err)
		}
	}
	return f, nil
}

func (f *fleet) start(i, hertz int) error {
	cmd := exec.Command("/proc/self/exe", "-guest", "-hertz", strconv.Itoa(hertz))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "GODEBUG=asyncpreemptoff=1")
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
