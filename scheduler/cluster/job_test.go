package cluster

import (
	"strings"
	"testing"
	"time"
)

// TestJobOf tells the rest of a move of ours, which the inventory of a beat
// ago still shows, from a migration that somebody else began.
func TestJobOf(t *testing.T) {
	w := newWorld(t)
	id := w.done()
	m, _ := w.s.Move(id)
	vm := VM{UUID: m.VM, Name: m.VMName, Migrating: true}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, id + " has just ended"},
		{MaxSilence, id + " has just ended"},
		{time.Nanosecond, "not ours"},
	} {
		w.wait(c.after)
		if got := w.s.JobOf(vm); !strings.Contains(got, c.want) {
			t.Errorf("%v after the move's end: %q, want %q in it", w.s.Now.Sub(m.EndedAt), got, c.want)
		}
	}
	if got := w.s.JobOf(VM{UUID: vmB, Name: "b"}); m.VM == vmB || !strings.Contains(got, "not ours") {
		t.Errorf("a VM that never moved: %q", got)
	}
}
