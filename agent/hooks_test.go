package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var hooked = HookMove{ID: "m-7", VM: "4b1d1ae8-3c59-4a30-9f21-4d2a4e0c6e01", VMName: "web 1", Target: "hv2", Trigger: cluster.TriggerAuto}

func hook(t *testing.T, dir, name, script string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A hook before a move lets it pass by its exit status 0, and vetoes by any other
// one, by taking too long, and by being none.
func TestPreMoveHook(t *testing.T) {
	for what, c := range map[string]struct {
		script string
		mode   os.FileMode
		want   string // part of the veto, "" for none
	}{
		"passes":               {`exit 0`, 0o755, ""},
		"passes and talks":     {`echo all is well; echo really >&2`, 0o700, ""},
		"vetoes":               {`echo "backup of $EVENKEEL_VM runs"; echo more; exit 3`, 0o755, "exit status 3: backup of web 1 runs"},
		"vetoes on stderr":     {`echo "not on $EVENKEEL_TARGET" >&2; exit 1`, 0o755, "exit status 1: not on hv2"},
		"vetoes silently":      {`exit 1`, 0o755, "exit status 1"},
		"takes too long":       {`sleep 60 & wait`, 0o755, "not done within the 300ms"},
		"says too much":        {`head -c 100000 /dev/zero | tr '\0' x; exit 1`, 0o755, "exit status 1: xxxx"},
		"says what cannot be":  {`printf 'a\033[2Jb\377c\n'; exit 1`, 0o755, "exit status 1: a[2Jbc"},
		"is no program":        {`exit 0`, 0o644, "chmod +x"},
		"anybody may write it": {`exit 0`, 0o777, "chmod go-w"},
		"is killed":            {`kill -9 $$`, 0o755, "signal: killed"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			hook(t, dir, preMove, c.script, c.mode)
			h := Hooks{Dir: dir, Logger: slog.New(slog.DiscardHandler)}
			if strings.Contains(c.want, "300ms") {
				h.Time = 300 * time.Millisecond
			}
			r := h.Pre(t.Context(), hooked)
			switch {
			case c.want == "" && r != nil:
				t.Errorf("vetoed: %v", r)
			case c.want != "" && (r == nil || r.Code != cluster.CodeHookVeto || !strings.Contains(r.Text, c.want) || len(r.Text) > 500):
				t.Errorf("%v, want a veto with %q", r, c.want)
			}
		})
	}
}

// Without a hook, or a directory for them, nothing is asked and nothing said.
func TestNoHooks(t *testing.T) {
	h := Hooks{Dir: filepath.Join(t.TempDir(), "none"), Logger: slog.New(slog.DiscardHandler)}
	if r := h.Pre(t.Context(), hooked); r != nil {
		t.Errorf("vetoed: %v", r)
	}
	h.Post(t.Context(), hooked, true)
}

// A hook after a move is told all of it; what it answers goes to the log.
func TestPostMoveHook(t *testing.T) {
	dir := t.TempDir()
	hook(t, dir, postMove, `env | grep ^EVENKEEL_ | sort > told; pwd >> told; echo oh dear; exit 4`, 0o755)
	var log bytes.Buffer
	h := Hooks{Dir: dir, Host: "hv1", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	h.Post(t.Context(), hooked, false)
	told, err := os.ReadFile(filepath.Join(dir, "told"))
	if err != nil {
		t.Fatal(err)
	}
	want := `EVENKEEL_MOVE=m-7
EVENKEEL_OUTCOME=stayed
EVENKEEL_SOURCE=hv1
EVENKEEL_TARGET=hv2
EVENKEEL_TRIGGER=auto
EVENKEEL_VM=web 1
EVENKEEL_VM_UUID=4b1d1ae8-3c59-4a30-9f21-4d2a4e0c6e01
` + dir + "\n"
	if string(told) != want {
		t.Errorf("told\n%s\nwant\n%s", told, want)
	}
	if !strings.Contains(log.String(), "exit status 4") || !strings.Contains(log.String(), "oh dear") {
		t.Errorf("logged %s", log.String())
	}
}
