package agent

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// A VM settles a quarter of an hour after its QEMU began, here or with the
// migration that brought it; one that began again settles anew, one of which
// nothing is known has not settled, and a fleet in a hurry waits for none.
func TestSettling(t *testing.T) {
	tree := procTree{fstest.MapFS{}}
	tree.thread(700, 6000, 0, 0, 0) // a minute after the host's boot
	a := arrivals{proc: procfs.New(tree)}
	guest := Guest{UUID: vmID(1), PID: 700}
	a.update([]Guest{guest})
	const while = 15 * time.Minute
	for _, c := range []struct {
		vm   string
		at   time.Duration
		want bool
	}{
		{vmID(1), 2 * time.Minute, true}, {vmID(1), 16*time.Minute - 1, true}, {vmID(1), 16 * time.Minute, false}, {vmID(2), time.Hour, true},
	} {
		if got := a.settling(c.vm, c.at, while); got != c.want {
			t.Errorf("VM %s at %v: settling %v", c.vm, c.at, got)
		}
	}
	if a.settling(vmID(1), 2*time.Minute, 0) {
		t.Error("settling, though nobody waits for it")
	}
	tree.thread(800, 360_000, 0, 0, 0)
	guest.PID = 800
	a.update([]Guest{guest})
	if !a.settling(vmID(1), 61*time.Minute, while) || a.settling(vmID(1), 76*time.Minute, while) {
		t.Error("a VM that was started anew does not settle anew")
	}
	a.update(nil)
	if len(a.began) != 0 {
		t.Error("a VM that is gone is remembered")
	}
}
