package cluster

import (
	"runtime"
	"testing"
	"time"
)

// A command costs by its own size: what applying it allocates grows with the
// depth of the State's trees, not with the number of hosts and VMs. A State
// that copied its 1000 hosts would take a hundred times the memory of one that
// copied 10. (Two rare commands read more, on purpose: an automatic order looks
// at every host's clock, an announcement at every member's name.)
func TestApplyCostsByTheCommand(t *testing.T) {
	small, large := applyBytes(t, 10), applyBytes(t, 1000)
	for kind, bytes := range large {
		t.Logf("%s: %d bytes at 200 VMs, %d at 20,000", kind, small[kind], bytes)
		if bytes > 4*small[kind] {
			t.Errorf("applying %s allocates %d bytes at 200 VMs, and %d at 20,000", kind, small[kind], bytes)
		}
	}
}

// applyBytes is what applying a command allocates in a fleet of so many hosts
// with 20 VMs each, by the command's kind.
func applyBytes(t *testing.T, hosts int) map[string]uint64 {
	s, snaps := bigFleet(t, hosts, 20)
	set := DefaultSettings()
	set.WarmUp = 0
	source, target := snaps[0], snaps[hosts-1]
	beat, regroup := snaps[hosts/2], snaps[hosts/2]
	beat.Sequence, beat.Inventory = 2, nil
	regroup.Sequence, regroup.Inventory = 2, &Inventory{Revision: 2, VMs: regroup.Inventory.VMs[1:]}
	regroup.Load.Inventory, regroup.Load.VMs = 2, regroup.Load.VMs[1:]
	move := Order{
		ID: "m-1", VM: source.Inventory.VMs[0].UUID, Source: source.Host, Target: target.Host, Trigger: TriggerOperator, Term: 1,
		Deadline: epoch.Add(time.Minute), StartWindow: time.Minute, Budget: time.Minute,
	}
	prepared, out := s, map[string]uint64{}
	for _, step := range []struct {
		by     Actor
		body   Body
		called string // "" to keep what it did, and not what it cost
	}{
		{byOperator, SetSettings{Settings: set}, ""},
		{byOperator, SetMode{Mode: ModeAuto}, ""},
		{byLeader, Snapshots{[]Snapshot{beat}}, "a host's figures"},
		{byLeader, Snapshots{[]Snapshot{regroup}}, "a host's VMs"},
		{byLeader, Decide{Decision{ID: "d-1", Result: ResultMoved}, []Order{move}}, "an order"},
		{byLeader, Decide{Decision{ID: "d-1", Result: ResultMoved}, []Order{move}}, ""},
		{Actor{KindAgent, target.Host, ""}, Reserve{"m-1"}, ""},
		{Actor{KindAgent, source.Host, ""}, Claim{"m-1", 1}, "a claim"},
	} {
		c := Command{Level: 1, Actor: step.by, At: epoch, Body: step.body}
		apply := func() State {
			next, err := prepared.Apply(Meta{Index: prepared.Index + 1, Term: 1}, c)
			if err != nil || next.Rejected > 0 {
				t.Fatalf("%s: %v, %d snapshots refused", c.Kind(), err, next.Rejected)
			}
			return next
		}
		if step.called == "" {
			prepared = apply()
			continue
		}
		out[step.called] = allocated(func() { apply() })
	}
	return out
}

// allocated is how many bytes a function allocates, the mean of 100 runs.
func allocated(run func()) uint64 {
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		run()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// What is remembered is bounded, and what is forgotten is the oldest that
// nobody needs: a live move stays whatever its age.
func TestMovesAreForgotten(t *testing.T) {
	w := newWorld(t)
	live := w.unknown()
	set := w.s.Settings
	set.PerHost, set.PerCluster = 2, 2
	w.must(byOperator, SetSettings{Settings: set})
	for range MaxMoves + 50 {
		w.plain(byLeader, w.decide(w.orderOf(vmB, hv1, hv2, TriggerOperator)))
		w.plain(byOperator, Cancel{Move: moveID(w.s.LastMove)})
	}
	if n := w.s.moves.len(); n != MaxMoves {
		t.Errorf("%d moves are kept, want %d", n, MaxMoves)
	}
	if m, ok := w.s.LiveMove(vmA); !ok || m.ID != live {
		t.Errorf("the live move is %+v", m)
	}
	if _, ok := w.s.Move("m-2"); ok {
		t.Error("the oldest ended move is kept")
	}
	if _, ok := w.s.Move(moveID(w.s.LastMove)); !ok {
		t.Error("the newest move is forgotten")
	}
	if n := w.s.decisions.len(); n != MaxDecisions {
		t.Errorf("%d decisions are kept, want %d", n, MaxDecisions)
	}
	if _, ok := w.s.Decision(decisionID(w.s.LastDecision)); !ok {
		t.Error("the newest decision is forgotten")
	}
	if n := w.s.receipts.len(); n != maxReceipts || w.s.recent.len() != n {
		t.Errorf("%d receipts and %d ids are kept, want %d", n, w.s.recent.len(), maxReceipts)
	}
}

// plain applies without the looks of [world.must], which cost by the State.
func (w *world) plain(by Actor, body Body) {
	w.t.Helper()
	w.index++
	next, err := w.s.Apply(Meta{Index: w.index, Term: w.term}, Command{Level: 1, ID: moveID(w.index), Actor: by, At: w.s.Now, Body: body})
	if err != nil {
		w.t.Fatalf("%s: %v", body.kind(), err)
	}
	w.s = next
}
