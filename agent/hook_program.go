package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (h Hooks) program(name string) string { return filepath.Join(h.Dir, name) }

// run runs a program, if it is there. An error says what was wrong with it.
func (h Hooks) run(ctx context.Context, n hookNotice) (said string, err error) {
	if h.Dir == "" {
		return "", nil
	}
	path := h.program(n.Hook)
	if there, err := runnable(path); !there || err != nil {
		return "", err
	}
	var out bounded
	for {
		cmd := exec.CommandContext(ctx, path)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = h.Dir, n.environment(), &out, &out
		// What it has started ends with it.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
		cmd.WaitDelay = 2 * time.Second
		// A program that is being written this moment was not begun.
		if err = cmd.Run(); !errors.Is(err, syscall.ETXTBSY) || pause(ctx, 50*time.Millisecond) != nil {
			break
		}
	}
	return out.words(), hookError(ctx, path, err)
}

// hookError names the hook, and its time if that was over.
func hookError(ctx context.Context, path string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("hook %s: %w", path, err)
}

func (n hookNotice) environment() []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"EVENKEEL_MOVE=" + n.Move, "EVENKEEL_VM=" + n.VM, "EVENKEEL_VM_UUID=" + n.VMUUID,
		"EVENKEEL_SOURCE=" + n.Source, "EVENKEEL_TARGET=" + n.Target, "EVENKEEL_TRIGGER=" + string(n.Trigger),
	}
	if n.Outcome != "" {
		env = append(env, "EVENKEEL_OUTCOME="+n.Outcome)
	}
	return env
}

// runnable says whether there is a program, and what is wrong with one that is
// not to be run: it runs as root.
func runnable(path string) (there bool, err error) {
	var st unix.Stat_t
	err = unix.Stat(path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return true, fmt.Errorf("hook %s: %w", path, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0:
		return true, fmt.Errorf("hook %s is no program: chmod +x it, or take it away", path)
	}
	return true, guarded(path, st.Uid, st.Mode)
}
