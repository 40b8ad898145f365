package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
)

// site serves a world of which every answer is known.
func site(t *testing.T, name string) *apitest.Site {
	t.Helper()
	dir, err := os.MkdirTemp("", "ek")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	world, ok := apitest.Worlds[name]
	if !ok {
		t.Fatalf("no world %q", name)
	}
	s, err := apitest.Open(dir, world, apitest.Patient(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// reader looks at what top shows, and presses keys.
type reader struct {
	*topModel
	app *app
	at  time.Time
}

func openTop(t *testing.T, world string, width, height int) *reader {
	t.Helper()
	a := &app{stderr: os.Stderr, timeout: 10 * time.Second, env: func(string) string { return "" }}
	a.target.Socket = site(t, world).Socket("hv2")
	t.Cleanup(a.close)
	r := &reader{&topModel{past: newLookback(unicodeSparks)}, a, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.explain = func(subject string) tea.Cmd {
		return func() tea.Msg {
			text, err := a.explained(t.Context(), subject)
			return explainedMsg{subject, text, err}
		}
	}
	r.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return r
}

// press presses keys by their names, and does what they lead to.
func (r *reader) press(t *testing.T, keys ...string) {
	t.Helper()
	named := map[string]rune{"Enter": tea.KeyEnter, "Esc": tea.KeyEscape, "Tab": tea.KeyTab, "Down": tea.KeyDown, "Up": tea.KeyUp, "Backspace": tea.KeyBackspace, "Space": tea.KeySpace, "End": tea.KeyEnd, "PgDn": tea.KeyPgDown}
	for _, k := range keys {
		key := tea.Key{Text: k, Code: []rune(k)[0]}
		if code, ok := named[k]; ok {
			key = tea.Key{Code: code}
		}
		if _, cmd := r.Update(tea.KeyPressMsg(key)); cmd != nil {
			msg := cmd()
			if _, quit := msg.(tea.QuitMsg); quit {
				t.Fatalf("%s ends it", k)
			}
			r.Update(msg)
		}
	}
}

// TestTopScreens shows what one sees, key by key:
//
//	open WORLD WIDTHxHEIGHT
//	look [TIMES]     time passes, it looks again
//	silence          nobody answers
//	press KEY...
func TestTopScreens(t *testing.T) {
	datadriven.Walk(t, "testdata/top", func(t *testing.T, path string) {
		var r *reader
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "open":
				var width, height int
				if _, err := fmt.Sscanf(d.CmdArgs[1].Key, "%dx%d", &width, &height); err != nil {
					t.Fatal(err)
				}
				r = openTop(t, d.CmdArgs[0].Key, width, height)
			case "look":
				top, err := r.app.lookAtTop(t.Context())
				r.Update(lookedMsg{top, err, r.at})
			case "silence":
				r.Update(lookedMsg{nil, errors.New("evenkeeld does not answer"), r.at})
			case "press":
				for _, a := range d.CmdArgs {
					r.press(t, a.Key)
				}
			default:
				t.Fatalf("unknown command %q", d.Cmd)
			}
			var out strings.Builder
			for line := range strings.Lines(r.View().Content) {
				plain := strings.TrimRight(ansi.Strip(line), " \n")
				if w := ansi.StringWidth(plain); w > r.width {
					t.Errorf("a line of %d cells on %d: %s", w, r.width, plain)
				}
				out.WriteString(strings.TrimRight("|"+plain, " ") + "\n")
			}
			return out.String()
		})
	})
}

// What is chosen stays chosen when the order changes, and stays in sight.
func TestTopChoiceStays(t *testing.T) {
	r := openTop(t, "suffering", 100, 12)
	top, err := r.app.lookAtTop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var many api.Top
	many.Status, many.Hosts = top.Status, top.Hosts
	for i := range 500 {
		vm := top.VMs[0]
		vm.UUID, vm.Name = fmt.Sprint("u", i), fmt.Sprintf("vm-%03d", i)
		steal := float64(i) / 1000
		vm.ContentionRatio, vm.ContentionRatioMax = &steal, nil
		many.VMs = append(many.VMs, vm)
	}
	r.Update(lookedMsg{top: &many})
	r.press(t, "Tab", "PgDn", "PgDn", "Down")
	chosen := r.choice()
	for _, keys := range [][]string{nil, {"s"}, {"S"}, {"s"}} {
		r.press(t, keys...)
		screen := ansi.Strip(r.View().Content)
		if r.choice() != chosen || !strings.Contains(screen, "> vm-"+fmt.Sprintf("%03s", strings.TrimPrefix(chosen, "u"))) {
			t.Errorf("after %v: %s is chosen, was %s:\n%s", keys, r.choice(), chosen, screen)
		}
	}
	r.press(t, "/", "v", "m", "-", "4", "9", "Enter")
	if n := len(r.ids()); n != 10 || !slices.Contains(r.ids(), r.choice()) {
		t.Errorf("%d VMs with vm-49, chosen %s", n, r.choice())
	}
}

// A host that is alone has nothing to choose from: its VMs come first.
func TestTopOnALoneHost(t *testing.T) {
	r := openTop(t, "suffering", 100, 20)
	top, err := r.app.lookAtTop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	top.Hosts = top.Hosts[:1]
	r.Update(lookedMsg{top: top})
	if screen := ansi.Strip(r.View().Content); !strings.Contains(screen, "VMs of hv1 by pain") || !strings.Contains(screen, "> batch-1") {
		t.Errorf("it begins with:\n%s", screen)
	}
	r.press(t, "Esc")
	if screen := ansi.Strip(r.View().Content); !strings.Contains(screen, "hosts by pain") {
		t.Errorf("one level up:\n%s", screen)
	}
}

// Whatever is pressed at whatever size, it draws within the screen and does not
// fall over.
func TestTopTakesEveryKey(t *testing.T) {
	r := openTop(t, "suffering", 80, 24)
	top, err := r.app.lookAtTop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &topModel{past: newLookback(asciiSparks), explain: func(string) tea.Cmd { return nil }}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				m.Update(tea.WindowSizeMsg{Width: rapid.IntRange(0, 200).Draw(t, "width"), Height: rapid.IntRange(0, 60).Draw(t, "height")})
			case 1:
				m.Update(lookedMsg{top: top})
			case 2:
				gone := *top
				gone.VMs, gone.Hosts = nil, nil
				m.Update(lookedMsg{top: &gone})
			case 3:
				m.Update(lookedMsg{err: errors.New("no\x1b[2J answer")})
			default:
				code := rapid.SampledFrom([]rune{tea.KeyEnter, tea.KeyEscape, tea.KeyTab, tea.KeyDown, tea.KeyUp, tea.KeyPgDown, tea.KeyPgUp, tea.KeyHome, tea.KeyEnd, tea.KeyBackspace, tea.KeySpace, '/', 's', 'S', 'e', '?', 'x', '\u00fc'}).Draw(t, "key")
				key := tea.Key{Code: code}
				if code < tea.KeyExtended && code > ' ' {
					key.Text = string(code)
				}
				m.Update(tea.KeyPressMsg(key))
			}
			content := m.View().Content
			if n := strings.Count(content, "\n") + 1; n > max(m.height, 2) {
				t.Fatalf("%d lines on a screen of %d", n, m.height)
			}
			if strings.Contains(content, "\x1b[2J") {
				t.Fatal("an error's control sequence reaches the terminal")
			}
		}
	})
}

func TestSparks(t *testing.T) {
	figures := []float64{0, 0.005, 0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.7, 0.9, math.NaN()}
	if got, want := unicodeSparks.line(figures), "  ▁▂▃▄▅▆▇█?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := asciiSparks.line(figures), "  _.-=+*#@?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for locale, want := range map[string]sparks{"C.UTF-8": unicodeSparks, "de_DE.utf8": unicodeSparks, "C": asciiSparks, "": asciiSparks} {
		if got := sparksOf(func(name string) string { return map[string]string{"LANG": locale}[name] }); got.heights[1] != want.heights[1] {
			t.Errorf("%q: %q", locale, got.heights[1])
		}
	}
}

// On a real terminal: tmux runs it, presses keys, and tells what the screen
// shows. It leaves the terminal as it was.
func TestTopInTmux(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "tmux") {
			t.Fatalf("EVENKEEL_REQUIRE names tmux: %v", err)
		}
		t.Skip(err)
	}
	socket := site(t, "suffering").Socket("hv2")
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(dir, "evenkeel") // by this name the test binary is the command
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	tmux := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "tmux", append([]string{"-S", filepath.Join(dir, "tmux"), "-f", os.DevNull}, args...)...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=screen-256color")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	tmux("-u", "new-session", "-d", "-x", "110", "-y", "30", "sh")
	t.Cleanup(func() { tmux("kill-server") })
	sees := func(want ...string) {
		t.Helper()
		screen := ""
		for range 300 {
			screen = tmux("capture-pane", "-p")
			if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(screen, w) }) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("the screen lacks one of %q:\n%s", want, screen)
	}
	tmux("send-keys", fmt.Sprintf("PS1='ready> '; clear; echo before; %s top --socket %s --interval 200ms; echo ended with $?", command, socket), "Enter")
	sees("hosts by pain", "> hv1", "hv2", "leader hv2")
	tmux("send-keys", "Enter")
	sees("VMs of hv1 by pain", "> ")
	tmux("send-keys", "Enter")
	sees("contention", "uuid", "VM   Esc back")
	tmux("send-keys", "Escape")
	sees("VMs of hv1 by pain")
	tmux("send-keys", "Escape")
	sees("hosts by pain")
	tmux("send-keys", "?")
	sees("choose", "stand still")
	tmux("send-keys", "x")
	sees("hosts by pain")
	tmux("resize-window", "-x", "60", "-y", "12")
	sees("> hv1")
	tmux("send-keys", "q")
	sees("before", "ended with 0", "ready>")
}

// Off a terminal it prints one table; as data it goes on.
func TestTopOffTheTerminal(t *testing.T) {
	socket := site(t, "suffering").Socket("hv2")
	for _, c := range []struct {
		args string
		says string
	}{
		{"top", "CONTENTION"},
		{"top --once --json", `"kind": "Top"`},
		{"top --once -o name", "\n"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(c.args), "--socket", socket), strings.NewReader(""), &out, &errs); code != 0 || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit code %d, %s, %s", c.args, code, out.String(), errs.String())
		}
	}
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"top", "--interval", "1ms"}, strings.NewReader(""), &errs, &errs); code != 64 {
		t.Errorf("an interval of 1 ms: exit code %d: %s", code, errs.String())
	}
}
