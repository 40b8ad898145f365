package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// pair is two processes on one CPU that hand a byte to and fro through pipes:
// nothing but wake-ups, waits and switches, the worst case of any probe on them.
type pair struct {
	ping, pong *exec.Cmd
	orders     io.WriteCloser
	answers    *bufio.Reader
}

// startPair starts them pinned to a CPU.
func startPair(cpu int) (*pair, error) {
	a, b := [2]*os.File{}, [2]*os.File{}
	for _, p := range []*[2]*os.File{&a, &b} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		defer w.Close()
		p[0], p[1] = r, w
	}
	p := &pair{ping: child("ping", cpu), pong: child("pong", cpu)}
	p.ping.ExtraFiles = []*os.File{b[0], a[1]}
	p.pong.ExtraFiles = []*os.File{a[0], b[1]}
	var err error
	if p.orders, err = p.ping.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.ping.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewReader(out)
	if err := p.pong.Start(); err != nil {
		return nil, err
	}
	if err := p.ping.Start(); err != nil {
		_ = p.pong.Process.Kill()
		return nil, errors.Join(err, p.pong.Wait())
	}
	return p, nil
}

func child(work string, cpu int) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-work", work, "-cpu", fmt.Sprint(cpu))
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	cmd.Stderr = os.Stderr
	return cmd
}

func (p *pair) stop() {
	_ = p.orders.Close()
	_ = p.ping.Wait()
	_ = p.pong.Wait()
}

// play is one round: what it took per hand-over, in ns, and how many complete
// waits the kernel counted of both threads.
func (p *pair) play(trips int) (nsPerTrip float64, waits uint64, err error) {
	before, err := p.waits()
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Fprintln(p.orders, trips); err != nil {
		return 0, 0, fmt.Errorf("ping-pong: %w", err)
	}
	line, err := p.answers.ReadString('\n')
	if err != nil {
		return 0, 0, fmt.Errorf("ping-pong: %w", err)
	}
	var ns int64
	if _, err := fmt.Sscan(line, &ns); err != nil {
		return 0, 0, fmt.Errorf("ping-pong said %q: %w", line, err)
	}
	after, err := p.waits()
	return float64(ns) / float64(trips), after - before, err
}

// waits is the kernel's own count: schedstat's third field.
func (p *pair) waits() (sum uint64, err error) {
	for _, pid := range []int{p.ping.Process.Pid, p.pong.Process.Pid} {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return 0, err
		}
		for _, t := range tasks {
			n, err := waitsOf(pid, t.Name())
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

func waitsOf(pid int, tid string) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, tid))
	if err != nil {
		return 0, err
	}
	var run, wait, count uint64
	_, err = fmt.Sscan(string(text), &run, &wait, &count)
	return count, err
}

// work is a child process's life.
func work(name string, cpu int) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := pinAll(cpu); err != nil {
		return err
	}
	switch name {
	case "pong":
		return pong(3, 4)
	case "ping":
		return ping(os.Stdin, os.Stdout, 3, 4)
	case "reader":
		return reader(os.Stdin, os.Stdout)
	case "crowd":
		return crowd(os.Stdin, os.Stdout)
	}
	return fmt.Errorf("no work is called %q", name)
}

// pinAll pins every thread that the process has, since any may be the one that
// the runtime goes on with.
func pinAll(cpu int) error {
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		var tid int
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// Raw system calls: the Go scheduler has no part in what is measured.
func readByte(fd int) (n uintptr, errno unix.Errno) {
	var b [1]byte
	for {
		n, _, errno = unix.RawSyscall(unix.SYS_READ, uintptr(fd), bytePtr(&b), 1)
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

func writeByte(fd int) unix.Errno {
	b := [1]byte{1}
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), bytePtr(&b), 1)
		if errno != unix.EINTR {
			return errno
		}
	}
}

func pong(in, out int) error {
	for {
		n, errno := readByte(in)
		if n == 0 && errno == 0 {
			return nil
		}
		if errno != 0 {
			return errno
		}
		if errno := writeByte(out); errno != 0 {
			return errno
		}
	}
}

func ping(orders io.Reader, answers io.Writer, in, out int) error {
	return serve(orders, answers, func(trips int) error {
		for range trips {
			if errno := writeByte(out); errno != 0 {
				return errno
			}
			if _, errno := readByte(in); errno != 0 {
				return errno
			}
		}
		return nil
	})
}

// serve does as it is told, a number a line, and answers with the ns that it
// took.
func serve(orders io.Reader, answers io.Writer, do func(int) error) error {
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		var n int
		if _, err := fmt.Sscan(strings.TrimSpace(lines.Text()), &n); err != nil {
			return err
		}
		began := nanotime()
		if err := do(n); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(answers, nanotime()-began); err != nil {
			return err
		}
	}
	return nil
}

func nanotime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it has no way to fail
	return ts.Nano()
}
