package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Command prepares a command that runs inside a host: in its namespaces, with
// the lab's binaries on its PATH, but on every CPU, so that looking at a busy
// host does not add to its load. An error is in the command's Err.
func (l *Lab) Command(ctx context.Context, host string, argv ...string) *exec.Cmd {
	h, err := l.Host(host)
	if err == nil && len(argv) == 0 {
		err = fmt.Errorf("host %s: no command given", host)
	}
	if err == nil && !h.Holder.Alive() {
		err = fmt.Errorf("host %s is gone (its process %d ended); clear up with: evenkeel-lab down", host, h.Holder.PID)
	}
	if err != nil {
		return &exec.Cmd{Path: "nsenter", Err: err}
	}
	const join = `echo $$ >"$1" && shift && exec "$@"`
	args := []string{"-c", join, "evenkeel-lab", l.group().child(execName).procsFile()}
	cmd := exec.CommandContext(ctx, "/bin/sh", append(append(args, enter(h.Holder)...), argv...)...)
	cmd.Env = l.environment(os.Environ())
	return cmd
}

// Exec runs a command inside a host and returns its standard output. An error
// carries its standard error.
func (l *Lab) Exec(ctx context.Context, host string, argv ...string) (string, error) {
	out, err := runCommand(l.Command(ctx, host, argv...))
	if err != nil {
		return out, fmt.Errorf("on %s: %s: %w", host, strings.Join(argv, " "), err)
	}
	return out, nil
}

// enter is the command that goes into a host.
func enter(holder Process) []string {
	return []string{"nsenter", "--target", strconv.Itoa(holder.PID), "--mount", "--uts", "--net", "--"}
}

// environment puts the lab's binaries first on the PATH, and the directories
// of daemons, which a user's PATH may lack, last.
func (l *Lab) environment(env []string) []string {
	path := l.manifestCopy().BinDir + ":" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin"
	return append(env, "PATH="+path)
}

// startInHost starts a program that stays, in the host's namespaces and
// cgroup.
func (l *Lab) startInHost(ctx context.Context, host, log string, argv ...string) (Process, error) {
	h, err := l.Host(host)
	if err != nil {
		return Process{}, err
	}
	env := append([]string{"env", "-i"}, l.environment([]string{"LANG=C.UTF-8", "HOME=/root"})...)
	p, err := spawn(ctx, l.group().child(host), log, append(append(enter(h.Holder), env...), argv...)...)
	if err != nil {
		return Process{}, fmt.Errorf("host %s: %w", host, err)
	}
	return p, nil
}
