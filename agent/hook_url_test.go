package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// called are hooks whose URLs answer as told, and count.
func called(t *testing.T, err error, said string) (h Hooks, times *int) {
	t.Helper()
	times = new(int)
	return Hooks{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Call: func(context.Context, string, []byte) ([]byte, error) {
		*times++
		return []byte(said), err
	}}, times
}

// A URL is called only if its file is what an administrator would have written:
// who can change it has the last word on moves.
func TestFileOfAHooksURL(t *testing.T) {
	const good = "https://hooks.example.org/t0ken"
	for what, c := range map[string]struct {
		text string
		mode os.FileMode
		want string // part of the veto, "" for none
	}{
		"one URL":              {good, 0o600, ""},
		"for others to read":   {" " + good + "\r\n\n", 0o444, ""},
		"others may write it":  {good, 0o666, "chmod go-w"},
		"a group may write it": {good, 0o620, "chmod go-w"},
		"nothing":              {"", 0o600, "does not hold one URL"},
		"two":                  {good + "\n" + good, 0o600, "does not hold one URL"},
		"a comment":            {"# ours\n" + good, 0o600, "does not hold one URL"},
		"too large":            {good + strings.Repeat("\n", maxHookURL), 0o600, "does not hold one URL"},
	} {
		h, times := called(t, nil, "")
		path := h.url(preMove)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		r := h.Pre(t.Context(), hooked)
		switch {
		case c.want == "" && (r != nil || *times != 1):
			t.Errorf("%s: vetoed %v, called %d times", what, r, *times)
		case c.want != "" && (r == nil || r.Code != cluster.CodeHookVeto || !strings.Contains(r.Text, c.want) || *times != 0):
			t.Errorf("%s: %v and called %d times, want a veto with %q", what, r, *times, c.want)
		case r != nil && strings.Contains(r.Text, "t0ken"):
			t.Errorf("%s: tells the URL: %v", what, r)
		}
	}
}

// What stands in a URL's place and is no file vetoes at once.
func TestNoFileForAHooksURL(t *testing.T) {
	for what, make := range map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"itself":   func(path string) error { return os.Symlink(path, path) },
	} {
		h, times := called(t, nil, "")
		if err := make(h.url(preMove)); err != nil {
			t.Fatal(err)
		}
		if r := h.Pre(t.Context(), hooked); r == nil || r.Code != cluster.CodeHookVeto || *times != 0 {
			t.Errorf("%s: %v, called %d times", what, r, *times)
		}
	}
}

// A program and a URL must both agree; whoever vetoes first is asked last. After
// the move both are told, whatever the first one answers.
func TestProgramAndURL(t *testing.T) {
	for _, c := range []struct {
		script string
		url    error
		want   string
		calls  int
	}{
		{"exit 0", nil, "", 1},
		{"exit 1", nil, "exit status 1", 0},
		{"exit 0", errors.New("HTTP 409"), "HTTP 409: the backup runs", 1},
	} {
		h, times := called(t, c.url, "the backup runs\nmore")
		var log bytes.Buffer
		h.Logger = slog.New(slog.NewTextHandler(&log, nil))
		hook(t, h.Dir, preMove, c.script, 0o755)
		hook(t, h.Dir, postMove, "exit 4", 0o755)
		for _, name := range []string{preMove, postMove} {
			if err := os.WriteFile(filepath.Join(h.Dir, name+".url"), []byte("https://h.test/"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if r := h.Pre(t.Context(), hooked); (r != nil) != (c.want != "") || r != nil && !strings.Contains(r.Text, c.want) || *times != c.calls {
			t.Errorf("%s, %v: %v after %d calls, want %q after %d", c.script, c.url, r, *times, c.want, c.calls)
		}
		h.Post(t.Context(), hooked, true)
		if *times != c.calls+1 || !strings.Contains(log.String(), "exit status 4") {
			t.Errorf("%s, %v: after the move called %d times, logged %s", c.script, c.url, *times, log.String())
		}
	}
}

// A URL alone is waited for after a move, and one that cannot be read as well.
func TestWaitsForURL(t *testing.T) {
	h, _ := called(t, nil, "")
	if h.waits(postMove) {
		t.Error("waits for nothing")
	}
	if err := os.WriteFile(h.url(postMove), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !h.waits(postMove) {
		t.Error("a hook that is broken goes unnoticed")
	}
}
