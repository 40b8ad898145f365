package voters

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// warden is the first process of a PID namespace, with a mount namespace of its
// own. It ends when its standard input does.
type warden struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// wardenScript thaws what is below its argument before it ends: a file system
// that is frozen when its last mount goes can never be thawed again, and a
// process that writes to it never killed.
const wardenScript = `
mount --make-rprivate / && mount -t proc proc /proc && echo ready || exit 1
while read -r _; do :; done
while read -r _ at _; do
	case $at in "$1"/*) fsfreeze --unfreeze "$at" 2>/dev/null || : ;; esac
done </proc/mounts
`

func startWarden(dir string) (*warden, error) {
	cmd := exec.Command("/bin/sh", "-c", wardenScript, "warden", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("namespaces for processes and mounts: %w", err)
	}
	w := &warden{cmd, stdin}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("namespaces for processes and mounts: %q, %w", line, err), w.end())
	}
	return w, nil
}

// end ends the warden and all that lives in its namespaces.
func (w *warden) end() error {
	err := w.stdin.Close()
	if _, e := w.cmd.Process.Wait(); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// path is where a file of the warden's mount namespace is seen from outside.
func (w *warden) path(file string) string {
	return filepath.Join("/proc", strconv.Itoa(w.cmd.Process.Pid), "root", file)
}

// inside runs f on a thread in the warden's mount namespace; processes that it
// starts are in the PID namespace too, and in a network namespace if one is
// given.
func (w *warden) inside(network int, f func() error) error {
	return onThread(func() error {
		// A thread that shares its root with others may not change its mounts.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare the root directory: %w", err)
		}
		fd, err := unix.PidfdOpen(w.cmd.Process.Pid, 0)
		if err != nil {
			return fmt.Errorf("the warden: %w", err)
		}
		defer func() { _ = unix.Close(fd) }()
		if network >= 0 {
			if err := unix.Setns(network, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the network namespace: %w", err)
			}
		}
		if err := unix.Setns(fd, unix.CLONE_NEWPID|unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter the warden's namespaces: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it, so that f may change the
// thread's namespaces.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread() // the first thread cannot end: hold it while another one is taken
			done <- onThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// command runs a program to its end; an error holds what it said.
func command(argv ...string) error {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return nil
}
