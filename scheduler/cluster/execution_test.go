package cluster

import (
	"reflect"
	"testing"
	"time"
)

// TestEdges sends every command of a move's life in every state of it, from
// every actor: what is not an edge is refused and changes nothing.
func TestEdges(t *testing.T) {
	states := []MoveState{MoveOrdered, MoveClaimed, MoveRunning, MoveUnknown, MoveDone}
	actors := map[string]Actor{"source": byHost(hv1), "target": byHost(hv2), "bystander": byHost(hv3), "operator": byOperator}
	commands := []struct {
		body   func(id string) Body
		states []MoveState
		actors []string
		to     map[string]MoveState // by the actor; "" keeps the state
	}{
		{func(id string) Body { return Reserve{id} }, states[:1], []string{"target"}, nil},
		{func(id string) Body { return Veto{id, CodeRelieved, "no"} }, states[:1], []string{"source", "target"}, map[string]MoveState{"source": MoveVetoed, "target": MoveVetoed}},
		{func(id string) Body { return Release{id, "not now", ""} }, states[1:2], []string{"source"}, map[string]MoveState{"source": MoveReleased}},
		{func(id string) Body { return Start{Move: id} }, states[1:2], []string{"source"}, map[string]MoveState{"source": MoveRunning}},
		{func(id string) Body { return Advance{id, Progress{Total: GiB, Processed: MiB}} }, states[2:3], []string{"source"}, nil},
		{func(id string) Body { return EndJob{Move: id, Evidence: paused} }, states[2:4], []string{"source"}, nil},
		{func(id string) Body { return Resolve{id, hv1, "seen"} }, states[3:4], []string{"operator"}, map[string]MoveState{"operator": MoveFailed}},
		{func(id string) Body { return Resolve{id, hv2, "seen"} }, states[3:4], []string{"operator"}, map[string]MoveState{"operator": MoveDone}},
		{func(id string) Body { return Resolve{id, "", "seen"} }, states[3:4], []string{"operator"}, map[string]MoveState{"operator": MoveFailed}},
		{func(id string) Body { return Testify{Move: id, Evidence: paused} }, states[3:4], []string{"source", "target"}, nil},
	}
	for _, c := range commands {
		for _, state := range states {
			for name, actor := range actors {
				w := newWorld(t)
				id := w.at(state)
				body := c.body(id)
				lawful := has(c.states, state) && has(c.actors, name)
				before := w.s
				err := w.apply(actor, body)
				m, _ := w.s.Move(id)
				switch want := c.to[name]; {
				case !lawful:
					if r := RefusalOf(err); r == nil || r.Code != CodeNotYours && r.Code != CodeWrongState {
						t.Errorf("%s in state %s by %s: %v, want it refused", body.kind(), state, name, err)
					}
					if old, _ := before.Move(id); !reflect.DeepEqual(m, old) {
						t.Errorf("%s in state %s by %s was refused, but changed the move", body.kind(), state, name)
					}
				case err != nil:
					t.Errorf("%s in state %s by %s: %v", body.kind(), state, name, err)
				case want != "" && m.State != want || want == "" && m.State != state:
					t.Errorf("%s in state %s by %s: %s", body.kind(), state, name, m.State)
				}
			}
		}
	}
}

func has[T comparable](all []T, one T) bool {
	for _, x := range all {
		if x == one {
			return true
		}
	}
	return false
}

func TestClaim(t *testing.T) {
	for name, c := range map[string]struct {
		code   Code // "" if the claim is granted
		before func(w *world, claim *Claim)
	}{
		"granted":                {"", func(*world, *Claim) {}},
		"no such move":           {CodeUnknownMove, func(_ *world, c *Claim) { c.Move = "m-2" }},
		"an id in another shape": {CodeUnknownMove, func(_ *world, c *Claim) { c.Move = "m-01" }},
		"by an earlier start":    {CodeStaleIncarnation, func(_ *world, c *Claim) { c.Incarnation = 0 }},
		"by a start not announced": {CodeStaleIncarnation, func(_ *world, c *Claim) {
			c.Incarnation = 2
		}},
		"at the deadline":    {"", func(w *world, _ *Claim) { w.wait(30 * time.Second); w.beat() }},
		"after the deadline": {CodeDeadlinePassed, func(w *world, _ *Claim) { w.wait(30*time.Second + 1); w.beat() }},
		"in a later term":    {"", func(w *world, _ *Claim) { w.term = 2 }},
		"while a new leader warms up": {"", func(w *world, _ *Claim) {
			set := w.s.Settings
			set.WarmUp = time.Minute
			w.must(byOperator, SetSettings{Settings: set})
			w.term = 2
		}},
		"paused in between": {CodePaused, func(w *world, _ *Claim) { w.must(byOperator, Pause{Until: w.s.Now.Add(time.Hour)}) }},
		"paused and over":   {"", func(w *world, _ *Claim) { w.must(byOperator, Pause{Until: w.s.Now.Add(1)}); w.wait(2) }},
		"paused and resumed": {"", func(w *world, _ *Claim) {
			w.must(byOperator, Pause{Until: w.s.Now.Add(1)})
			w.must(byOperator, Resume{})
		}},
		"frozen in between":     {CodeFrozen, func(w *world, _ *Claim) { w.must(byLeader, Freeze{Cause: "test"}) }},
		"switched off":          {CodeModeOff, func(w *world, _ *Claim) { w.must(byOperator, SetMode{Mode: ModeOff}) }},
		"switched to recommend": {CodeModeRecommend, func(w *world, _ *Claim) { w.must(byOperator, SetMode{Mode: ModeRecommend}) }},
		"the target fell silent": {CodeStaleSnapshot, func(w *world, _ *Claim) {
			w.wait(4 * time.Second)
			w.must(byLeader, Snapshots{[]Snapshot{w.snapshot(hv1)}})
		}},
		"the VM is elsewhere": {CodeUnknownVM, func(w *world, _ *Claim) {
			snap := w.snapshot(hv1)
			snap.Inventory = &Inventory{Revision: 2, VMs: []VM{testVM(vmB)}}
			snap.Load.Inventory = 2
			w.must(byLeader, Snapshots{[]Snapshot{snap}})
		}},
		"the VM is twofold": {CodeUnknownVM, func(w *world, _ *Claim) {
			snap := w.snapshot(hv3)
			snap.Inventory = &Inventory{Revision: 2, VMs: []VM{testVM(vmA)}}
			snap.Load.Inventory = 2
			w.must(byLeader, Snapshots{[]Snapshot{snap}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			claim := Claim{w.ordered(), 1}
			w.must(byHost(hv2), Reserve{claim.Move})
			c.before(w, &claim)
			if c.code != "" {
				w.refuses(c.code, byHost(hv1), claim)
				w.is("m-1", MoveOrdered)
				return
			}
			w.must(byHost(hv1), claim)
			w.is("m-1", MoveClaimed)
			w.refuses(CodeWrongState, byHost(hv1), claim)
		})
	}
	t.Run("not reserved", func(t *testing.T) {
		w := newWorld(t)
		w.refuses(CodeNotReserved, byHost(hv1), Claim{w.ordered(), 1})
	})
}

// TestJudge is the whole matrix of what two ends can say.
func TestJudge(t *testing.T) {
	ends := map[string]*Evidence{
		"silent": nil, "runs": &runs, "gone": &gone, "paused": &paused,
		"domain without process": {Presence: PresenceRunning},
		"process without domain": {Presence: PresenceAbsent, Process: true},
		"other":                  {Presence: PresenceOther, Process: true},
	}
	for source, a := range ends {
		for target, b := range ends {
			want := MoveUnknown
			switch {
			case source == "runs" && target == "gone":
				want = MoveFailed
			case source == "gone" && target == "runs":
				want = MoveDone
			}
			got, why := Judge(a, b)
			if got != want || why == "" {
				t.Errorf("source %s, target %s: %s (%s), want %s", source, target, got, why, want)
			}
		}
	}
}

// What the ends contradict each other in waits, and is unknown when it is due;
// later evidence still decides it.
func TestUnknownAndBack(t *testing.T) {
	w := newWorld(t)
	id := w.running()
	w.refuses(CodeWrongState, byHost(hv2), Testify{Move: id, Evidence: runs}) // the job has not ended
	w.must(byHost(hv1), EndJob{Move: id, Report: "connection reset", Evidence: paused})
	w.must(byHost(hv2), Testify{Move: id, Evidence: gone})
	w.is(id, MoveRunning)
	w.wait(w.s.Settings.EvidenceWithin)
	w.refuses(CodeWrongState, byLeader, Expire{id})
	w.wait(1)
	w.must(byLeader, Expire{id})
	if m := w.is(id, MoveUnknown); m.Why != "at the source paused, at the target absent" {
		t.Errorf("why: %s", m.Why)
	}
	w.must(byHost(hv1), Testify{Move: id, Evidence: runs})
	w.is(id, MoveFailed)
	if p, _ := w.s.Place(vmA); len(p.Hosts) != 1 || p.Hosts[0] != hv1 || p.Moved != 0 {
		t.Errorf("after a failed move the VM's place is %+v", p)
	}
}

// An unknown outcome waits for a person, and takes nobody's turn meanwhile: its
// ends are taken only while its job may still run.
func TestUnknownTakesNobodysTurn(t *testing.T) {
	w := newWorld(t) // one move at a time, in the cluster and at each host
	id := w.running()
	w.wait(time.Minute + 2*w.s.Settings.EvidenceWithin + 1)
	w.must(byLeader, Expire{id})
	w.is(id, MoveUnknown)
	w.beat()
	w.refuses(CodeQuarantined, byLeader, w.decide(w.orderOf(vmA, hv1, hv3, TriggerOperator)))
	w.refuses(CodeLimitHost, byLeader, w.decide(w.orderOf(vmB, hv1, hv3, TriggerOperator)))
	w.must(byHost(hv1), EndJob{Move: id, Evidence: paused})
	w.is(id, MoveUnknown)
	w.must(byLeader, w.decide(w.orderOf(vmB, hv1, hv3, TriggerOperator)))
	if onHost, inCluster := w.s.InFlight(hv1); onHost != 1 || inCluster != 1 {
		t.Errorf("%d moves in flight at hv1, %d in all", onHost, inCluster)
	}
}

func TestSilentSourceIsUnknown(t *testing.T) {
	w := newWorld(t)
	id := w.running()
	w.wait(time.Minute + 2*w.s.Settings.EvidenceWithin)
	w.refuses(CodeWrongState, byLeader, Expire{id})
	w.wait(1)
	w.must(byLeader, Expire{id})
	w.is(id, MoveUnknown)
	// The source comes back and says that its job is over.
	w.must(byHost(hv1), EndJob{Move: id, Evidence: gone})
	w.is(id, MoveUnknown)
	w.must(byHost(hv2), Testify{Move: id, Evidence: runs, Downtime: 41 * time.Millisecond, Bytes: 2 * GiB})
	m := w.is(id, MoveDone)
	if m.Downtime != 41*time.Millisecond || m.Bytes != 2*GiB {
		t.Errorf("downtime %v, %v", m.Downtime, m.Bytes)
	}
	if p, _ := w.s.Place(vmA); len(p.Hosts) != 1 || p.Hosts[0] != hv2 || p.Moved != w.s.Now {
		t.Errorf("after the move the VM's place is %+v", p)
	}
}

func TestExpireOrder(t *testing.T) {
	for _, reserved := range []bool{false, true} {
		w := newWorld(t)
		id := w.ordered()
		want := CodeNotReserved
		if reserved {
			w.must(byHost(hv2), Reserve{id})
			want = CodeDeadlinePassed
		}
		w.wait(30 * time.Second)
		w.refuses(CodeWrongState, byLeader, Expire{id})
		w.wait(1)
		w.refuses(CodeDeadlinePassed, byHost(hv2), Reserve{id})
		w.must(byLeader, Expire{id})
		if m := w.is(id, MoveExpired); m.WhyCode != want {
			t.Errorf("reserved %v: %s", reserved, m.WhyCode)
		}
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	id := w.ordered()
	w.must(byOperator, Cancel{id, "changed my mind"})
	w.is(id, MoveCancelled)
	w.refuses(CodeWrongState, byHost(hv1), Claim{id, 1})

	w = newWorld(t)
	id = w.claimed()
	w.must(byOperator, Cancel{id, ""})
	w.is(id, MoveClaimed)
	w.refuses(CodeWrongState, byHost(hv1), Start{Move: id})
	w.must(byHost(hv1), Release{id, "cancelled", ""})
	w.is(id, MoveReleased)

	w = newWorld(t)
	id = w.running()
	w.must(byOperator, Cancel{id, ""})
	if m := w.is(id, MoveRunning); !m.AbortAsked {
		t.Error("the abort is not asked for")
	}
	w.must(byHost(hv1), EndJob{Move: id, Aborted: true, Evidence: runs})
	w.must(byHost(hv2), Testify{Move: id, Evidence: gone})
	w.is(id, MoveAborted)
	if w.s.Frozen.Since != 0 {
		t.Error("an abort counts as a failure")
	}
}

// Only a silent source lets an operator end what has not ended.
func TestResolve(t *testing.T) {
	w := newWorld(t)
	id := w.running()
	w.refuses(CodeWrongState, byOperator, Resolve{id, hv1, ""})
	w.wait(20 * time.Second)
	w.refuses(CodeUnknownHost, byOperator, Resolve{id, hv3, ""})
	w.refuses(CodeNotYours, byHost(hv1), Resolve{id, hv1, ""})
	w.must(byOperator, Resolve{id, hv2, "virsh says so"})
	if m := w.is(id, MoveDone); m.ResolvedBy != "ann" {
		t.Errorf("resolved by %q", m.ResolvedBy)
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	id := w.running()
	w.refuses(CodeWrongState, byLeader, Verify{Move: id, Verdict: VerdictBetter})
	w = newWorld(t)
	id = w.done()
	w.refuses(CodeAbsurdFigure, byLeader, Verify{Move: id, Verdict: "splendid"})
	w.must(byLeader, Verify{Move: id, Verdict: VerdictBetter, Measured: &Effect{VMContentionAfter: 7}, Text: "helped"})
	w.refuses(CodeWrongState, byLeader, Verify{Move: id, Verdict: VerdictWorse})
	if m, _ := w.s.Move(id); m.Verdict != VerdictBetter || m.Measured.VMContentionAfter != 7 {
		t.Errorf("%+v", m)
	}
}

// Verifying a move must not let go of the VM's next one: this once made a
// third order possible while the second one ran.
func TestVerifyKeepsTheNextMoveLive(t *testing.T) {
	w := newWorld(t)
	first := w.done()
	w.wait(time.Second)
	back := &Inventory{Revision: 2, VMs: []VM{testVM(vmA)}}
	for host, inv := range map[string]*Inventory{hv1: {Revision: 2, VMs: []VM{testVM(vmB)}}, hv2: back} {
		snap := w.snapshot(host)
		snap.Inventory, snap.Load.Inventory = inv, 2
		w.must(byLeader, Snapshots{[]Snapshot{snap}})
	}
	w.must(byLeader, w.decide(w.orderOf(vmA, hv2, hv1, TriggerOperator)))
	w.must(byLeader, Verify{Move: first, Verdict: VerdictBetter})
	w.refuses(CodeMoveInFlight, byLeader, w.decide(w.orderOf(vmA, hv2, hv3, TriggerOperator)))
}

func TestFreezeAfterFailures(t *testing.T) {
	w := newWorld(t)
	set := w.s.Settings
	set.FreezeAfter, set.PerHour = 2, 100
	w.must(byOperator, SetSettings{Settings: set})
	fail := func() {
		id := w.running()
		w.must(byHost(hv1), EndJob{Move: id, Report: "refused", Evidence: runs})
		w.must(byHost(hv2), Testify{Move: id, Evidence: gone})
		w.is(id, MoveFailed)
		w.wait(time.Second)
		w.beat()
	}
	fail()
	if w.s.Frozen.Since != 0 {
		t.Fatal("frozen after one failure")
	}
	fail()
	if w.s.Frozen.Since == 0 {
		t.Fatal("not frozen after two failures")
	}
	w.refuses(CodeFrozen, byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto)))
	w.wait(2 * time.Hour)
	w.beat()
	w.refuses(CodeFrozen, byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto))) // only an operator thaws
	w.must(byOperator, Resume{Text: "looked at it"})
	fail() // those before the thaw no longer count
	if w.s.Frozen.Since != 0 {
		t.Error("frozen by failures that an operator has seen")
	}
}

// A move that an operator resolved is no failure that freezes.
func TestResolvedDoesNotFreeze(t *testing.T) {
	w := newWorld(t)
	set := w.s.Settings
	set.FreezeAfter, set.PerHour = 2, 100
	w.must(byOperator, SetSettings{Settings: set})
	id := w.unknown()
	w.must(byOperator, Resolve{id, hv1, ""})
	w.is(id, MoveFailed)
	w.wait(time.Second)
	w.beat()
	id = w.running()
	w.must(byHost(hv1), EndJob{Move: id, Evidence: runs})
	w.must(byHost(hv2), Testify{Move: id, Evidence: gone})
	if w.s.Frozen.Since != 0 {
		t.Errorf("frozen: %s", w.s.Frozen.Cause)
	}
}

func TestEvidenceAndVetoAreBounded(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeAbsurdFigure, byHost(hv1), Veto{w.ordered(), Code(make([]byte, 65)), ""})
	w = newWorld(t)
	id := w.running()
	w.refuses(CodeAbsurdFigure, byHost(hv1), EndJob{Move: id, Evidence: Evidence{Presence: "here and there"}})
	w.refuses(CodeAbsurdFigure, byHost(hv1), Advance{id, Progress{Remaining: -1}})
	w.must(byHost(hv1), EndJob{Move: id, Evidence: gone})
	w.refuses(CodeAbsurdFigure, byHost(hv2), Testify{Move: id, Evidence: Evidence{}})
}

func TestTimedFreeze(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeAbsurdFigure, byLeader, Freeze{"late", w.s.Now})
	w.refuses(CodeAbsurdFigure, byLeader, Freeze{"long", w.s.Now.Add(25 * time.Hour)})
	w.must(byLeader, Freeze{"silence", w.s.Now.Add(time.Minute)})
	w.must(byLeader, Freeze{"shorter", w.s.Now.Add(time.Second)})
	if w.s.Frozen.Cause != "silence" {
		t.Error("a shorter freeze replaced a longer one")
	}
	w.wait(time.Minute)
	if w.s.Holding() != nil {
		t.Error("the freeze outlived its time")
	}
	w.must(byLeader, Freeze{"for good", 0})
	w.must(byLeader, Freeze{"silence", w.s.Now.Add(time.Minute)})
	if w.s.Frozen.Until != 0 {
		t.Error("a timed freeze replaced one that only an operator lifts")
	}
}
