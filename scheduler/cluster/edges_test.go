package cluster

import (
	"errors"
	"testing"
	"time"
)

// What lies on an edge is still allowed: an instant, a byte or a moment more
// is not. The refusals themselves are in TestClaim and TestOrderRefusals.
func TestOnTheEdge(t *testing.T) {
	edge := func(name string, scene func(t *testing.T, w *world)) {
		t.Run(name, func(t *testing.T) { scene(t, newWorld(t)) })
	}
	edge("reserved and claimed at the deadline", func(_ *testing.T, w *world) {
		id := w.ordered()
		w.wait(w.s.Settings.ClaimWithin)
		w.beat()
		w.must(byHost(hv2), Reserve{id})
		w.must(byHost(hv1), Claim{id, 1})
	})
	edge("an instant after the deadline", func(_ *testing.T, w *world) {
		id := w.ordered()
		w.must(byHost(hv2), Reserve{id})
		w.wait(w.s.Settings.ClaimWithin + 1)
		w.beat()
		w.refuses(CodeDeadlinePassed, byHost(hv2), Reserve{id})
		w.refuses(CodeDeadlinePassed, byHost(hv1), Claim{id, 1})
	})
	edge("ordered when the cooldown is over", func(_ *testing.T, w *world) {
		o := w.orderOf(vmB, hv1, hv2, TriggerAuto)
		p, _ := w.s.Place(vmB)
		p.Moved = w.s.Now.Add(-w.s.Settings.Cooldown + 1)
		w.s.places = w.s.places.set(vmB, p)
		w.refuses(CodeCooldown, byLeader, w.decide(o))
		w.wait(1)
		w.must(byLeader, w.decide(w.orderOf(vmB, hv1, hv2, TriggerAuto)))
	})
	edge("decided on the index before its own", func(_ *testing.T, w *world) {
		o := w.orderOf(vmA, hv1, hv2, TriggerAuto)
		o.DecidedOn = w.index + 1 // the order's own entry
		w.refuses(CodeAbsurdFigure, byLeader, w.decide(o))
		o.DecidedOn = w.index // of the entry just refused
		w.must(byLeader, w.decide(o))
	})
	edge("memory is filled to the last byte", func(_ *testing.T, w *world) {
		full := w.snapshot(hv2)
		full.Load.Memory = GiB + VMOverhead - 1
		w.must(byLeader, Snapshots{[]Snapshot{full}})
		w.refuses(CodeNoHeadroom, byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto)))
		fits := w.snapshot(hv2)
		fits.Load.Memory = GiB + VMOverhead
		w.must(byLeader, Snapshots{[]Snapshot{fits}})
		w.must(byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto)))
	})
	for name, skew := range map[string]time.Duration{"ahead of": MaxSkew, "behind": -MaxSkew} {
		edge("the leader's clock is "+name+" the hosts' by as much as may be", func(_ *testing.T, w *world) {
			w.skewed(skew)
			w.must(byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto)))
		})
		edge("the leader's clock is "+name+" the hosts' by more", func(_ *testing.T, w *world) {
			w.skewed(skew + skew/time.Duration(MaxSkew)*time.Nanosecond)
			w.refuses(CodeClockSkew, byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto)))
		})
	}
}

// skewed lets every host beat with a clock that differs from the State's.
func (w *world) skewed(by time.Duration) {
	w.t.Helper()
	var batch []Snapshot
	for _, id := range []string{hv1, hv2, hv3} {
		snap := w.snapshot(id)
		snap.Load.TakenAt = w.s.Now.Add(-by)
		batch = append(batch, snap)
	}
	w.must(byLeader, Snapshots{batch})
	if got := w.s.Skew(); got != by {
		w.t.Fatalf("skew %v, want %v", got, by)
	}
}

// A job ends once: a second report brings newer evidence, and no newer end.
func TestJobEndsOnce(t *testing.T) {
	w := newWorld(t)
	id := w.running()
	w.must(byHost(hv1), EndJob{Move: id, Report: "connection reset", Evidence: paused})
	ended := w.s.Now
	w.wait(5 * time.Second)
	w.must(byHost(hv1), EndJob{Move: id, Evidence: gone})
	m := w.is(id, MoveRunning)
	if m.JobEndedAt != ended || m.Report != "connection reset" || !m.AtSource.gone() || m.AtSource.At != w.s.Now {
		t.Errorf("%+v, at the source %+v", m, m.AtSource)
	}
}

// Folding keeps the count of what was not committed one by one.
func TestFoldedDecisionsCount(t *testing.T) {
	w := newWorld(t)
	for _, repeated := range []int{0, 59, -5} {
		w.must(byLeader, Decide{Decision: Decision{ID: w.s.NextDecisionID(), Result: ResultNothing, Code: CodeBelowThreshold, Repeated: repeated}})
	}
	if d, _ := w.s.Decision("d-1"); w.s.LastDecision != 1 || d.Repeated != 61 {
		t.Errorf("%d decisions, the first repeated %d times, want 1+59 and 1", w.s.LastDecision, d.Repeated)
	}
}

// What was not claimed has moved nothing, and spends no budget.
func TestBudgetCountsWhatMayMove(t *testing.T) {
	w := newWorld(t)
	hour := w.s.Now.Add(-time.Hour)
	id := w.ordered()
	if n := w.s.OrderedSince(hour); n != 1 {
		t.Errorf("an order that may be claimed counts %d", n)
	}
	w.must(byHost(hv1), Veto{id, CodeRelieved, ""})
	if n := w.s.OrderedSince(hour); n != 0 {
		t.Errorf("a vetoed order counts %d", n)
	}
	w.must(byLeader, w.decide(w.orderOf(vmB, hv1, hv2, TriggerOperator)))
	if n := w.s.OrderedSince(hour); n != 0 {
		t.Errorf("an operator's order counts %d", n)
	}
	w.must(byOperator, Cancel{Move: moveID(w.s.LastMove)})
	w.done()
	if n := w.s.OrderedSince(hour); n != 1 {
		t.Errorf("a move that was done counts %d", n)
	}
	if n := w.s.OrderedSince(w.s.Now + 1); n != 0 {
		t.Errorf("a move before the time counts %d", n)
	}
}

// Time never goes back, whatever a new leader's clock says.
func TestTimeNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	now := w.s.Now
	next, err := w.s.Apply(Meta{Index: w.index + 1, Term: w.term + 1}, Command{Level: 1, Actor: byOperator, At: now - 1, Body: Resume{}})
	if err != nil || next.Now != now || next.TermSince != now {
		t.Errorf("%v: now %v, the term began %v, want %v", err, next.Now, next.TermSince, now)
	}
}

// A restart keeps a member's place in the cluster, and forgets what its host's
// figures had piled up.
func TestRestartStartsAnew(t *testing.T) {
	w := newWorld(t)
	joined, _ := w.s.Member(hv1)
	h, _ := w.s.Host(hv1)
	h.Excess, h.ExcessSince = time.Minute, w.s.Now
	w.s.hosts = w.s.hosts.set(hv1, h)
	w.wait(time.Minute)
	again := testHost(hv1)
	w.must(byHost(hv1), Announce{testCluster, again})
	if h, _ := w.s.Host(hv1); h.Excess != time.Minute || len(h.Beats) != 1 {
		t.Errorf("an announcement of the same start forgot figures: %+v", h)
	}
	again.Incarnation = 2
	w.must(byHost(hv1), Announce{testCluster, again})
	if m, _ := w.s.Member(hv1); m.JoinedAt != joined.JoinedAt || m.JoinedAt == w.s.Now {
		t.Errorf("joined at %v, want %v", m.JoinedAt, joined.JoinedAt)
	}
	if h, _ := w.s.Host(hv1); h.Excess != 0 || h.ExcessSince != 0 || len(h.Beats) != 0 || len(h.Inventory.VMs) != 2 {
		t.Errorf("after a restart: %+v", h)
	}
}

// An excess does not grow for ever: a host that suffered for a week is not
// owed a week of patience.
func TestExcessIsBounded(t *testing.T) {
	w := newWorld(t)
	h, _ := w.s.Host(hv1)
	h.Excess = time.Hour - time.Millisecond
	w.s.hosts = w.s.hosts.set(hv1, h)
	w.wait(time.Second)
	snap := w.snapshot(hv1)
	snap.Load.Contention, snap.Load.ContentionMax = Percent(50), Percent(50)
	w.must(byLeader, Snapshots{[]Snapshot{snap}})
	if h, _ := w.s.Host(hv1); h.Excess != time.Hour {
		t.Errorf("excess %v", h.Excess)
	}
}

// A freeze that is prolonged began when it began, and ends with the later of
// its ends.
func TestFreezeIsProlonged(t *testing.T) {
	w := newWorld(t)
	began := w.s.Now
	w.must(byLeader, Freeze{"2 of 3 hypervisors are silent", w.s.Now.Add(time.Minute)})
	w.wait(30 * time.Second)
	later := w.s.Now.Add(time.Minute)
	w.must(byLeader, Freeze{"3 of 3 hypervisors are silent", later})
	w.must(byLeader, Freeze{"1 of 3 hypervisors is silent", w.s.Now.Add(time.Second)})
	if f := w.s.Frozen; f.Since != began || f.Until != later || f.Cause != "3 of 3 hypervisors are silent" {
		t.Errorf("%+v", f)
	}
	w.must(byLeader, Freeze{Cause: "storage is down"})
	if f := w.s.Frozen; f.Since != began || f.Until != 0 {
		t.Errorf("prolonged for good: %+v", f)
	}
}

// An operator's word about one move freezes nothing, even where the failures
// before it are now too many.
func TestResolveNeverFreezes(t *testing.T) {
	w := newWorld(t)
	id := w.unknown()
	w.failed(vmB)
	set := w.s.Settings
	set.FreezeAfter = 1
	w.must(byOperator, SetSettings{Settings: set})
	w.must(byOperator, Resolve{id, hv1, "seen"})
	if w.s.Frozen.Since != 0 {
		t.Errorf("frozen: %+v", w.s.Frozen)
	}
}

// failed orders a VM's move and lets it fail, beside what is in flight.
func (w *world) failed(vm string) {
	w.t.Helper()
	set := w.s.Settings
	set.PerHost, set.PerCluster = 2, 2
	w.must(byOperator, SetSettings{Settings: set})
	o := w.orderOf(vm, hv1, hv3, TriggerAuto)
	w.must(byLeader, w.decide(o))
	w.must(byHost(hv3), Reserve{o.ID})
	w.must(byHost(hv1), Claim{o.ID, 1})
	w.must(byHost(hv1), Start{Move: o.ID})
	w.must(byHost(hv1), EndJob{Move: o.ID, Evidence: runs})
	w.must(byHost(hv3), Testify{Move: o.ID, Evidence: gone})
	w.is(o.ID, MoveFailed)
}

func TestUnknownOutcomesFreeze(t *testing.T) {
	w := newWorld(t)
	set := w.s.Settings
	set.FreezeAfter = 1
	w.must(byOperator, SetSettings{Settings: set})
	w.unknown()
	if w.s.Frozen.Since == 0 {
		t.Error("a move ended unknown, one may, and nothing is frozen")
	}
}

// A VM on its way is charged to the target once, whether or not the target has
// seen it yet.
func TestArrivingMemoryCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.running()
	if got, want := w.s.Charge(hv2).Most, GiB+VMOverhead; got != want {
		t.Errorf("before the target has seen it: %v, want %v", got, want)
	}
	snap := w.snapshot(hv2)
	arriving := testVM(vmA)
	arriving.Incoming = true
	snap.Inventory = &Inventory{Revision: 2, VMs: []VM{arriving}}
	snap.Load.Inventory = 2
	w.must(byLeader, Snapshots{[]Snapshot{snap}})
	if got, want := w.s.Charge(hv2).Most, GiB+VMOverhead; got != want {
		t.Errorf("once the target has seen it: %v, want %v", got, want)
	}
	if p, _ := w.s.Place(vmA); len(p.Hosts) != 1 || p.Hosts[0] != hv1 {
		t.Errorf("while it arrives it is on %v", p.Hosts)
	}
}

func TestRingOfBeats(t *testing.T) {
	w := newWorld(t)
	for i := range 2 * MaxBeats {
		w.wait(time.Second)
		w.beat()
		h, _ := w.s.Host(hv1)
		last, _ := h.Last()
		if want := min(i+2, MaxBeats); len(h.Beats) != want || last.At != w.s.Now || h.Beats[0].At != w.s.Now.Add(-time.Duration(want-1)*time.Second) {
			t.Fatalf("after %d beats %d are kept, from %v to %v", i+2, len(h.Beats), h.Beats[0].At, last.At)
		}
	}
}

// At the exit threshold an excess is kept, below it forgotten.
func TestExitThreshold(t *testing.T) {
	for pain, want := range map[Ratio]time.Duration{Percent(5): time.Minute, Percent(5) - 1: 0} {
		w := newWorld(t)
		h, _ := w.s.Host(hv1)
		h.Excess = time.Minute
		w.s.hosts = w.s.hosts.set(hv1, h)
		snap := w.snapshot(hv1)
		snap.Load.Contention = pain
		w.must(byLeader, Snapshots{[]Snapshot{snap}})
		if h, _ := w.s.Host(hv1); h.Excess != want {
			t.Errorf("at %v an excess of a minute became %v", pain, h.Excess)
		}
	}
}

// A cluster whose level has not been raised takes nothing above it: the entry
// stops the replica and leaves its State as it was.
func TestLevelAboveTheClusters(t *testing.T) {
	w := newWorld(t)
	w.s.Level = 0
	next, err := w.s.Apply(Meta{Index: w.index + 1, Term: w.term}, Command{Level: 1, Actor: byOperator, At: w.s.Now + 1, Body: Resume{}})
	if !errors.Is(err, ErrFeatureLevel) || RefusalOf(err) != nil || next.Index != w.s.Index || next.Now != w.s.Now {
		t.Errorf("%v, index %d -> %d", err, w.s.Index, next.Index)
	}
}
