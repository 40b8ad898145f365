package definitions

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	hv1 = "11111111-1111-4111-8111-111111111111"
	hv2 = "22222222-2222-4222-8222-222222222222"
)

func vm(n int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n) }

func pack(t *testing.T, n int, text string) Definition {
	t.Helper()
	d, err := Pack(vm(n), fmt.Sprint("vm ", n), text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func marks(all ...Definition) (out []Mark) {
	for _, d := range all {
		out = append(out, d.Mark)
	}
	return out
}

// world is a store and its clock.
type world struct {
	*Store
	t  *testing.T
	at time.Time
}

func open(t *testing.T) *world {
	w := &world{t: t, at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s, err := Open(t.TempDir(), func() time.Time { return w.at })
	if err != nil {
		t.Fatal(err)
	}
	w.Store = s
	return w
}

// tell brings what a host has, as a client does, and says what was wanted.
func (w *world) tell(host, name string, all ...Definition) []string {
	w.t.Helper()
	wanted, err := w.List(host, name, marks(all...))
	if err != nil {
		w.t.Fatal(err)
	}
	var send []Definition
	for _, d := range all {
		if slices.Contains(wanted, d.VM) {
			send = append(send, d)
		}
	}
	if err := w.Keep(host, send); err != nil {
		w.t.Fatal(err)
	}
	return wanted
}

func (w *world) text(host string, n int, want string) {
	w.t.Helper()
	if got, err := w.Text(host, vm(n)); err != nil || got != want {
		w.t.Errorf("VM %d: %q, %v; want %q", n, got, err, want)
	}
}

// What a host brought is there, only what changed is wanted again, and another
// start of the voter knows it all.
func TestOnlyChangesAreWanted(t *testing.T) {
	w := open(t)
	a, b := pack(t, 1, "<domain>a</domain>"), pack(t, 2, "<domain>b</domain>")
	if got := w.tell(hv1, "hv1", a, b); len(got) != 2 {
		t.Errorf("at first %v is wanted", got)
	}
	if got := w.tell(hv1, "hv1", a, b); len(got) != 0 {
		t.Errorf("unchanged, %v is wanted", got)
	}
	changed := pack(t, 2, "<domain>b, larger</domain>")
	if got := w.tell(hv1, "hv1", a, changed); !slices.Equal(got, []string{vm(2)}) {
		t.Errorf("after a change of VM 2 %v is wanted", got)
	}
	again, err := Open(w.dir, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.Store = again
	w.text(hv1, 1, "<domain>a</domain>")
	w.text(hv1, 2, "<domain>b, larger</domain>")
	for _, of := range []string{"hv1", hv1} {
		if h, err := w.Host(of); err != nil || len(h.VMs) != 2 || h.VMs[0].Name != "vm 1" {
			t.Errorf("%s: %+v, %v", of, h, err)
		}
	}
	if _, err := w.Host("hv9"); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "hv1") {
		t.Errorf("a host that was never heard: %v", err)
	}
}

// A VM that is listed no more is kept for a week, and then no more; one that
// came back is as before.
func TestLeftVMsAreKeptForAWeek(t *testing.T) {
	w := open(t)
	a, b, c := pack(t, 1, "<a/>"), pack(t, 2, "<b/>"), pack(t, 3, "<c/>")
	w.tell(hv1, "hv1", a, b, c)
	w.at = w.at.Add(time.Hour)
	w.tell(hv1, "hv1", a)
	h, err := w.Host("hv1")
	if err != nil || len(h.VMs) != 3 || !h.VMs[0].Left.IsZero() || !h.VMs[1].Left.Equal(w.at) {
		t.Errorf("%+v, %v", h, err)
	}
	w.text(hv1, 2, "<b/>")
	w.at = w.at.Add(3 * 24 * time.Hour)
	if got := w.tell(hv1, "hv1", a, c); len(got) != 0 {
		t.Errorf("a VM that came back is wanted: %v", got)
	}
	w.at = w.at.Add(5 * 24 * time.Hour)
	w.tell(hv1, "hv1", a, c)
	if _, err := w.Text(hv1, vm(2)); !errors.Is(err, ErrNone) {
		t.Errorf("after eight days: %v", err)
	}
	if _, err := os.Stat(w.file(hv1, vm(2))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its file: %v", err)
	}
	w.text(hv1, 3, "<c/>")
}

// Files that a crash or a disk has spoilt are wanted again, and never shown as
// what they are not.
func TestSpoiltFiles(t *testing.T) {
	w := open(t)
	a := pack(t, 1, "<a/>")
	w.tell(hv1, "hv1", a)
	if err := os.WriteFile(w.file(hv1, vm(1)), pack(t, 1, "<other/>").XML, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := w.Text(hv1, vm(1)); err == nil {
		t.Errorf("another text is shown: %q", text)
	}
	if err := os.Truncate(w.file(hv1, vm(1)), 0); err != nil {
		t.Fatal(err)
	}
	if got := w.tell(hv1, "hv1", a); len(got) != 1 {
		t.Errorf("an empty file is not wanted again: %v", got)
	}
	w.text(hv1, 1, "<a/>")
	if err := os.WriteFile(filepath.Join(w.dir, hv1, indexName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if hosts, err := w.Hosts(); err != nil || len(hosts) != 0 {
		t.Errorf("a damaged index: %v, %v", hosts, err)
	}
	if got := w.tell(hv1, "hv1", a); len(got) != 1 {
		t.Errorf("after a damaged index %v is wanted", got)
	}
	w.text(hv1, 1, "<a/>")
}

// Two hosts that had one name: the one heard last is meant.
func TestNameUsedAnew(t *testing.T) {
	w := open(t)
	w.tell(hv1, "hv1", pack(t, 1, "<old/>"))
	w.at = w.at.Add(time.Hour)
	w.tell(hv2, "hv1", pack(t, 2, "<new/>"))
	if h, err := w.Host("hv1"); err != nil || h.ID != hv2 {
		t.Errorf("%+v, %v", h, err)
	}
}

// What cannot be is refused with what is wrong, and leaves nothing behind.
func TestRefused(t *testing.T) {
	w := open(t)
	good := pack(t, 1, "<a/>")
	w.tell(hv1, "hv1", good)
	bad := func(change func(*Definition)) Definition { d := good; change(&d); return d }
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"host outside":   {second(w.List("../../etc", "x", nil)), "no member id"},
		"VM outside":     {second(w.List(hv1, "x", []Mark{{"../index", good.Sum}})), "no UUID"},
		"sum":            {second(w.List(hv1, "x", []Mark{{vm(1), "xyz"}})), "no SHA-256"},
		"twice":          {second(w.List(hv1, "x", []Mark{good.Mark, good.Mark})), "twice"},
		"too many":       {second(w.List(hv1, "x", make([]Mark, MaxVMs+1))), "at most"},
		"never listed":   {w.Keep(hv2, []Definition{good}), "listed no VMs"},
		"file outside":   {w.Keep(hv1, []Definition{bad(func(d *Definition) { d.VM = "../../x" })}), "no UUID"},
		"host's outside": {w.Keep("../x", []Definition{good}), "no member id"},
		"another's sum":  {w.Keep(hv1, []Definition{bad(func(d *Definition) { d.Sum = strings.Repeat("0", 64) })}), "is not the one"},
		"no gzip":        {w.Keep(hv1, []Definition{bad(func(d *Definition) { d.XML = []byte("<domain>plain text</domain>") })}), "gzip"},
		"empty":          {w.Keep(hv1, []Definition{bad(func(d *Definition) { d.XML = nil })}), "0 bytes"},
		"too large":      {w.Keep(hv1, []Definition{bad(func(d *Definition) { d.XML = make([]byte, MaxBytes+1) })}), "16385 bytes"},
		"no text":        {w.Keep(hv1, []Definition{bad(func(d *Definition) { d.Name = "\xff" })}), "no text"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, c.err, c.says)
		}
	}
	w.text(hv1, 1, "<a/>")
	noise := make([]byte, 4*MaxBytes)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte('!' + rng.IntN(90))
	}
	if _, err := Pack(vm(1), "big", string(noise)); err == nil || !strings.Contains(err.Error(), "big") {
		t.Errorf("a definition that is too large: %v", err)
	}
	// A small file that unfolds to a large one is not read to its end.
	if _, err := Pack(vm(1), "bomb", strings.Repeat("a", maxText+1)); err == nil {
		t.Error("more than 4 MiB of text are taken")
	}
}

func second[T any](_ T, err error) error { return err }
