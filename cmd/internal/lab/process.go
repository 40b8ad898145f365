package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process names one process for good: the kernel reuses numbers, but not with
// the same start time.
type Process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since the machine's boot
}

// identify reads the start time of a living process.
func identify(pid int) (Process, error) {
	state, start, err := procStat(pid)
	if err != nil {
		return Process{}, err
	}
	if state == 'Z' || state == 'X' {
		return Process{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return Process{PID: pid, StartTime: start}, nil
}

// procStat reads the state and start time from /proc/PID/stat. The command
// name in it may hold anything, so fields count from its last parenthesis.
func procStat(pid int) (state byte, start uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || len(fields[0]) != 1 {
		return 0, 0, fmt.Errorf("process %d: /proc/%d/stat is malformed", pid, pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("process %d: start time: %w", pid, err)
	}
	return fields[0][0], start, nil
}

// Alive says whether the process still runs.
func (p Process) Alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

// Signal sends a signal to this very process, or says os.ErrProcessDone.
func (p Process) Signal(sig syscall.Signal) error {
	if p.PID <= 0 {
		return os.ErrProcessDone
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, os.ErrProcessDone)
	}
	defer func() { _ = unix.Close(fd) }()
	// The descriptor holds whichever process has the number now: look who.
	if !p.Alive() {
		return fmt.Errorf("process %d: %w", p.PID, os.ErrProcessDone)
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// ownSession waits until a process that spawn started leads a session: its
// number is known a moment before it does.
func (p Process) ownSession(ctx context.Context) error {
	return poll(ctx, time.Millisecond, fmt.Sprintf("session of process %d", p.PID), func() (bool, error) {
		sid, err := unix.Getsid(p.PID)
		if err != nil || !p.Alive() {
			return false, errors.Join(err, fmt.Errorf("process %d: %w", p.PID, os.ErrProcessDone))
		}
		return sid == p.PID, nil
	})
}

// kill ends the process and waits until it is gone.
func (p Process) kill(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		return err
	}
	return poll(ctx, 10*time.Millisecond, fmt.Sprintf("end of process %d", p.PID), func() (bool, error) {
		return !p.Alive() && !p.lingers(), nil
	})
}

// lingers says whether a process that has been killed still has threads: its
// first one is a zombie before they have let go of its sockets.
func (p Process) lingers() bool {
	if _, start, err := procStat(p.PID); err != nil || start != p.StartTime {
		return false
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID))
	return err == nil && len(tasks) > 1
}

// launcher moves itself into a cgroup and starts a program that outlives it
// and everyone else: a child of init, so that the lab never has to reap it,
// with a session of its own. Its number is printed.
const launcher = `echo $$ >"$1" && log=$2 && shift 2 && { setsid "$@" </dev/null >>"$log" 2>&1 & echo $!; }`

// spawn starts argv in a cgroup with its output appended to a log. The
// namespaces are the caller's thread's.
func spawn(ctx context.Context, group cgroup, log string, argv ...string) (Process, error) {
	args := append([]string{"-c", launcher, "evenkeel-lab", group.procsFile(), log}, argv...)
	out, err := runCommand(exec.CommandContext(ctx, "/bin/sh", args...))
	if err != nil {
		return Process{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return Process{}, fmt.Errorf("start %s: the shell printed %q instead of a process id", argv[0], out)
	}
	p, err := identify(pid)
	if err != nil {
		return Process{}, fmt.Errorf("start %s: it ended at once%s", filepath.Base(argv[0]), logTail(log))
	}
	return p, nil
}

// runCommand runs a command and returns its standard output; an error carries
// what it wrote to standard error.
func runCommand(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// Killed at the deadline, a command's orphans may still hold the pipes.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err != nil && stderr.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

// logTail is the end of a log for an error message.
func logTail(path string) string {
	const most = 1000
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return "; its log " + path + " is empty"
	}
	if len(data) > most {
		data = data[len(data)-most:]
	}
	return "; the end of " + path + ":\n" + strings.TrimSpace(string(data))
}

// poll asks until the answer is yes, an error, or the context's end.
func poll(ctx context.Context, every time.Duration, what string, done func() (bool, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
