package libvirt

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/agent"
)

func open(t *testing.T, cfg Config) *Host {
	t.Helper()
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// noLeaks is called first, so that it looks last.
func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}

// stranger listens on a socket and treats each connection as told.
func stranger(t *testing.T, path string, treat func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			treat(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func TestOpenRefuses(t *testing.T) {
	for _, cfg := range []Config{{Socket: "libvirt-sock"}, {RunDir: "run"}, {CallTimeout: -1}, {JobTimeout: -1}} {
		if h, err := Open(cfg); err == nil {
			t.Errorf("%+v was taken: %v", cfg, h)
		}
	}
}

func TestDaemonDown(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	h := open(t, Config{RunDir: dir})
	_, err := h.Guests(t.Context())
	if !errors.Is(err, agent.ErrDisconnected) {
		t.Fatalf("%v, want ErrDisconnected", err)
	}
	for _, name := range []string{"virtqemud-sock", "libvirt-sock"} {
		if !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("error %q does not name %s", err, name)
		}
	}
	if _, err := h.Events(t.Context()); !errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("Events: %v", err)
	}
	if _, err := h.Look(t.Context(), vmOne); !errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("Look: %v", err)
	}
}

// A stale socket of the modular daemon does not hide the monolithic one, and
// the modular one goes first.
func TestSocketOrder(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	modular, monolithic := filepath.Join(dir, "virtqemud-sock"), filepath.Join(dir, "libvirt-sock")
	asked := make(chan string, 16)
	stranger(t, monolithic, func(net.Conn) { asked <- monolithic })
	l, err := net.Listen("unix", modular)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	d := newDialer("", dir)
	if _, err := d.dial(t.Context()); err == nil {
		t.Error("a stranger passed for libvirt")
	}
	if got := <-asked; got != monolithic {
		t.Errorf("asked %s", got)
	}
	os.Remove(modular)
	stranger(t, modular, func(net.Conn) { asked <- modular })
	if _, err := newDialer("", dir).dial(t.Context()); err == nil {
		t.Error("a stranger passed for libvirt")
	}
	if got := <-asked; got != modular {
		t.Errorf("asked %s first", got)
	}
	if got := newDialer("/elsewhere", dir).sockets; len(got) != 1 || got[0] != "/elsewhere" {
		t.Errorf("a given socket: %v", got)
	}
}

// A peer that sends garbage, a message of 4 GiB or of no length must neither
// crash us nor make us allocate.
func TestGarbage(t *testing.T) {
	noLeaks(t)
	for what, text := range map[string]string{
		"HTTP":         "HTTP/1.1 400 Bad Request\r\n\r\n",
		"4 GiB":        "\xff\xff\xff\xff" + strings.Repeat("x", 64),
		"zero length":  strings.Repeat("\x00", 64),
		"short header": "\x00\x00\x00\x1b" + strings.Repeat("x", 64),
		"nothing":      "",
	} {
		socket := filepath.Join(t.TempDir(), "s")
		stranger(t, socket, func(c net.Conn) { _, _ = io.WriteString(c, text) })
		h := open(t, Config{Socket: socket})
		if _, err := h.Guests(t.Context()); !errors.Is(err, agent.ErrDisconnected) {
			t.Errorf("%s: %v, want ErrDisconnected", what, err)
		}
	}
}

// A daemon that takes connections and never answers holds nobody longer than
// their context, and no goroutine.
func TestSilence(t *testing.T) {
	noLeaks(t)
	socket := filepath.Join(t.TempDir(), "s")
	hold := make(chan struct{})
	stranger(t, socket, func(net.Conn) { <-hold })
	defer close(hold)
	h := open(t, Config{Socket: socket})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for what, call := range map[string]func() error{
		"Guests": func() error { _, err := h.Guests(ctx); return err },
		"Look":   func() error { _, err := h.Look(ctx, vmOne); return err },
		"Events": func() error { _, err := h.Events(ctx); return err },
		"Stamp":  func() error { return h.Stamp(ctx, vmOne, "o-1") },
		"Abort":  func() error { return h.Abort(ctx, vmOne) },
		"Resume": func() error { return h.Resume(ctx, vmOne) },
		"Lets": func() error {
			return h.Lets(ctx, agent.MigrateRequest{VM: vmOne, PeerURI: "a://b", MigrateURI: "a://b"})
		},
		"Migrate": func() error {
			return h.Migrate(ctx, agent.MigrateRequest{VM: vmOne, PeerURI: "a://b", MigrateURI: "a://b"})
		},
	} {
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want its deadline", what, err)
		}
	}
	// Close ends a call that would wait for its default limit.
	result := make(chan error, 1)
	go func() { _, err := h.Guests(context.Background()); result <- err }()
	for len(h.pool.calls) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("call ended by Close: %v", err)
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: firstBackoff, 1: 2 * firstBackoff, 3: 8 * firstBackoff, 5: lastBackoff, 1 << 40: lastBackoff} {
		if got := backoff(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
	d := newDialer("/s", "")
	now := time.Unix(1000, 0)
	reason := errors.New("refused")
	d.failed(now, reason)
	if err := d.held(now.Add(firstBackoff - 1)); !errors.Is(err, agent.ErrDisconnected) || !errors.Is(err, reason) {
		t.Errorf("within the backoff: %v", err)
	}
	if err := d.held(now.Add(firstBackoff)); err != nil {
		t.Errorf("after the backoff: %v", err)
	}
}

func TestUUIDs(t *testing.T) {
	if u, err := parseUUID(vmOne); err != nil || formatUUID(u) != vmOne {
		t.Errorf("%v, %v", u, err)
	}
	for _, bad := range []string{"", "one", "{11111111-1111-4111-8111-111111111111}", strings.ToUpper("aaaaaaaa-1111-4111-8111-111111111111"), "111111111111411181111111111111111"} {
		if _, err := parseUUID(bad); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

func TestErrors(t *testing.T) {
	gone := translate(golibvirt.Error{Code: uint32(golibvirt.ErrNoDomain), Message: "Domain not found\xff" + strings.Repeat("x", 4096)})
	if !errors.Is(gone, ErrNoVM) || len(gone.Error()) > 1100 {
		t.Errorf("%v", gone)
	}
	if err := translate(golibvirt.ErrInterrupted); !errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("%v", err)
	}
	if err := translate(context.Canceled); errors.Is(err, agent.ErrDisconnected) {
		t.Errorf("%v", err)
	}
	if e := (*Error)(nil); !errors.As(translate(golibvirt.ErrUnsupported), &e) {
		t.Error("an unknown call is no answer")
	}
}

func TestDottedVersion(t *testing.T) {
	if got := dotted(12_005_013); got != "12.5.13" {
		t.Error(got)
	}
}

func TestRunStates(t *testing.T) {
	for _, c := range []struct {
		state  golibvirt.DomainState
		reason golibvirt.DomainPausedReason
		want   agent.RunState
		moved  bool
		whole  bool // all of its memory is here
	}{
		{golibvirt.DomainRunning, 5, agent.RunStateRunning, false, false},
		{golibvirt.DomainBlocked, 0, agent.RunStateRunning, false, false},
		{golibvirt.DomainPaused, golibvirt.DomainPausedUser, agent.RunStatePaused, false, false},
		{golibvirt.DomainPaused, golibvirt.DomainPausedMigration, agent.RunStatePaused, true, true},
		{golibvirt.DomainPaused, golibvirt.DomainPausedPostcopy, agent.RunStatePaused, true, false},
		{golibvirt.DomainPaused, golibvirt.DomainPausedPostcopyFailed, agent.RunStatePaused, true, false},
		{golibvirt.DomainShutoff, 2, agent.RunStateAbsent, false, false},
		{golibvirt.DomainCrashed, 0, agent.RunStateOther, false, false},
		{golibvirt.DomainPmsuspended, 2, agent.RunStateOther, false, false},
		{99, 2, agent.RunStateOther, false, false},
	} {
		if whole := resumable(int32(c.state), int32(c.reason)); whole != c.whole {
			t.Errorf("state %d reason %d: may run on: %v", c.state, c.reason, whole)
		}
		if got, moved := runState(int32(c.state), int32(c.reason)); got != c.want || moved != c.moved {
			t.Errorf("state %d reason %d: %v %v", c.state, c.reason, got, moved)
		}
	}
}
