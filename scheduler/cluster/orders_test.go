package cluster

import (
	"strings"
	"testing"
	"time"
)

// TestOrderRefusals asks of every rule that stands before an order that it
// binds: alone it turns a lawful order into a refused one.
func TestOrderRefusals(t *testing.T) {
	settings := func(change func(*Settings)) func(*world, *Order) {
		return func(w *world, _ *Order) {
			set := w.s.Settings
			change(&set)
			w.must(byOperator, SetSettings{Settings: set})
		}
	}
	order := func(change func(*Order)) func(*world, *Order) { return func(_ *world, o *Order) { change(o) } }
	vm := func(change func(*VM)) func(*world, *Order) {
		return func(w *world, _ *Order) {
			snap := w.snapshot(hv1)
			snap.Inventory.Revision, snap.Load.Inventory = 2, 2
			change(&snap.Inventory.VMs[1])
			w.must(byLeader, Snapshots{[]Snapshot{snap}})
		}
	}
	for name, c := range map[string]struct {
		code Code
		set  func(w *world, o *Order)
	}{
		"another term":         {CodeStaleTerm, order(func(o *Order) { o.Term = 7 })},
		"not the next id":      {CodeStalePlan, order(func(o *Order) { o.ID = "m-99" })},
		"decided ahead":        {CodeAbsurdFigure, order(func(o *Order) { o.DecidedOn = 1 << 40 })},
		"deadline over":        {CodeDeadlinePassed, order(func(o *Order) { o.Deadline = epoch })},
		"deadline before time": {CodeDeadlinePassed, order(func(o *Order) { o.Deadline = -1 << 63 })},
		"deadline far off":     {CodeDeadlinePassed, order(func(o *Order) { o.Deadline = 1<<63 - 1 })},
		"no start window":      {CodeAbsurdFigure, order(func(o *Order) { o.StartWindow = 0 })},
		"no budget":            {CodeAbsurdFigure, order(func(o *Order) { o.Budget = -1 })},
		"reason too long":      {CodeAbsurdFigure, order(func(o *Order) { o.Reason = strings.Repeat("x", maxText+1) })},
		"no trigger":           {CodeAbsurdFigure, order(func(o *Order) { o.Trigger = "" })},
		"no such VM":           {CodeUnknownVM, order(func(o *Order) { o.VM = testMember })},
		"VM not there":         {CodeUnknownVM, order(func(o *Order) { o.Source, o.Target = hv3, hv2 })},
		"to itself":            {CodeNoTarget, order(func(o *Order) { o.Target = hv1 })},
		"target no host":       {CodeUnknownHost, order(func(o *Order) { o.Target = witness })},
		"VM paused":            {CodeNotRunning, vm(func(v *VM) { v.Run = RunPaused })},
		"VM's job is foreign":  {CodeMoveInFlight, vm(func(v *VM) { v.Migrating = true })},
		"VM comes in":          {CodeUnknownVM, vm(func(v *VM) { v.Incoming = true })},
		"no disk lock":         {CodeNoDiskLock, vm(func(v *VM) { v.Lock = LockNone })},
		"diskless":             {CodeNoDiskLock, vm(func(v *VM) { v.Lock = LockDiskless })},
		"too big":              {CodeNoHeadroom, vm(func(v *VM) { v.MaxMemory = 16*GiB - VMOverhead + 1 })},
		"cooldown": {CodeCooldown, func(w *world, o *Order) {
			p, _ := w.s.places.get(vmB)
			p.Moved = w.s.Now.Add(-29 * time.Minute)
			w.s.places = w.s.places.set(vmB, p)
		}},
		"mode off":       {CodeModeOff, func(w *world, _ *Order) { w.must(byOperator, SetMode{Mode: ModeOff}) }},
		"mode recommend": {CodeModeRecommend, func(w *world, _ *Order) { w.must(byOperator, SetMode{Mode: ModeRecommend}) }},
		"paused":         {CodePaused, func(w *world, _ *Order) { w.must(byOperator, Pause{Until: w.s.Now.Add(time.Hour)}) }},
		"frozen":         {CodeFrozen, func(w *world, _ *Order) { w.must(byLeader, Freeze{Cause: "test"}) }},
		"warming up": {CodeWarmUp, func(w *world, o *Order) {
			settings(func(s *Settings) { s.WarmUp = time.Minute })(w, o)
			w.term, o.Term = 2, 2
			w.must(byLeader, Snapshots{})
		}},
		"limit of the host": {CodeLimitHost, func(w *world, o *Order) {
			settings(func(s *Settings) { s.PerCluster = 9 })(w, o)
			w.ordered()
			o.ID = w.s.NextMoveID(0)
		}},
		"limit of the cluster": {CodeLimitCluster, func(w *world, o *Order) {
			settings(func(s *Settings) { s.PerHost = 9 })(w, o)
			w.ordered()
			o.ID = w.s.NextMoveID(0)
		}},
		"in flight already": {CodeMoveInFlight, func(w *world, o *Order) {
			w.ordered()
			o.VM, o.ID = vmA, w.s.NextMoveID(0)
		}},
		"quarantined": {CodeQuarantined, func(w *world, o *Order) {
			w.unknown()
			o.VM, o.ID = vmA, w.s.NextMoveID(0)
		}},
		"budget of the hour": {CodeBudget, func(w *world, o *Order) {
			settings(func(s *Settings) { s.PerHour = 1 })(w, o)
			w.done()
			w.wait(time.Second)
			w.beat()
			o.ID, o.Deadline = w.s.NextMoveID(0), w.s.Now.Add(time.Minute)
		}},
		"budget of the day": {CodeBudget, func(w *world, o *Order) {
			settings(func(s *Settings) { s.PerDay = 1 })(w, o)
			w.done()
			w.wait(2 * time.Hour)
			w.beat()
			o.ID, o.Deadline = w.s.NextMoveID(0), w.s.Now.Add(time.Minute)
		}},
		"silent host": {CodeStaleSnapshot, func(w *world, o *Order) { w.wait(4 * time.Second) }},
		"two hosts report it": {CodeDuplicateVM, func(w *world, _ *Order) {
			snap := w.snapshot(hv3)
			snap.Inventory.Revision, snap.Load.Inventory = 2, 2
			snap.Inventory.VMs = []VM{testVM(vmB)}
			w.must(byLeader, Snapshots{[]Snapshot{snap}})
		}},
		"no path": {CodeNoMigrationPath, func(w *world, _ *Order) {
			m := testHost(hv2)
			m.MigrationURI = ""
			w.must(byHost(hv2), Announce{testCluster, m})
		}},
		"the leader's clock is off": {CodeClockSkew, func(w *world, _ *Order) {
			for _, h := range []string{hv1, hv2} {
				snap := w.snapshot(h)
				snap.Load.TakenAt = w.s.Now.Add(-6 * time.Second)
				w.must(byLeader, Snapshots{[]Snapshot{snap}})
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.orderOf(vmB, hv1, hv2, TriggerAuto)
			c.set(w, &o)
			w.refuses(c.code, byLeader, w.decide(o))
		})
	}
	t.Run("none of them", func(t *testing.T) {
		w := newWorld(t)
		w.must(byLeader, w.decide(w.orderOf(vmB, hv1, hv2, TriggerAuto)))
		w.is("m-1", MoveOrdered)
	})
}

// An operator's order needs no mode, no budget and no patience, but all that
// keeps a VM whole.
func TestOperatorsOrder(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetMode{Mode: ModeOff})
	w.must(byOperator, Pause{Until: w.s.Now.Add(time.Hour)})
	w.must(byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerOperator)))
	w.must(byHost(hv2), Reserve{"m-1"})
	w.must(byHost(hv1), Claim{"m-1", 1})
	w.is("m-1", MoveClaimed)
	w.refuses(CodeMoveInFlight, byLeader, w.decide(w.orderOf(vmA, hv1, hv3, TriggerOperator)))
	w.refuses(CodeLimitHost, byLeader, w.decide(w.orderOf(vmB, hv1, hv3, TriggerOperator)))
}

func TestDecisionRefusals(t *testing.T) {
	w := newWorld(t)
	good := Decision{ID: "d-1", Result: ResultNothing}
	for name, c := range map[string]struct {
		code   Code
		change func(d *Decide)
	}{
		"not the next id":   {CodeStalePlan, func(d *Decide) { d.Decision.ID = "d-2" }},
		"too many refused":  {CodeTooMany, func(d *Decide) { d.Decision.Refused = make([]Candidate, 2*MaxCandidates+1) }},
		"score too long":    {CodeTooMany, func(d *Decide) { d.Decision.Proposed = []Candidate{{Score: make([]ScoreTerm, 17)}} }},
		"term too long":     {CodeTooMany, func(d *Decide) { d.Decision.Refused = []Candidate{{Score: []ScoreTerm{{strings.Repeat("x", 65), 1}}}} }},
		"rule too long":     {CodeTooMany, func(d *Decide) { d.Decision.Refused = []Candidate{{Rule: strings.Repeat("r", 33)}} }},
		"too many counts":   {CodeTooMany, func(d *Decide) { d.Decision.Counts = make([]CodeCount, 65) }},
		"text too long":     {CodeTooMany, func(d *Decide) { d.Decision.Text = strings.Repeat("x", maxText+1) }},
		"no result":         {CodeAbsurdFigure, func(d *Decide) { d.Decision.Result = "" }},
		"orders, yet still": {CodeWrongState, func(d *Decide) { d.Orders = []Order{w.orderOf(vmA, hv1, hv2, TriggerAuto)} }},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			d := Decide{Decision: good}
			c.change(&d)
			w.refuses(c.code, byLeader, d)
		})
	}
}

// If one order of a decision is refused, none is taken.
func TestDecisionIsWhole(t *testing.T) {
	w := newWorld(t)
	set := w.s.Settings
	set.PerCluster, set.PerHost = 9, 9
	w.must(byOperator, SetSettings{Settings: set})
	first, second := w.orderOf(vmA, hv1, hv2, TriggerAuto), w.orderOf(vmB, hv1, witness, TriggerAuto)
	second.ID = w.s.NextMoveID(1)
	w.refuses(CodeUnknownHost, byLeader, w.decide(first, second))
	second.Target = hv3
	w.must(byLeader, w.decide(first, second))
	w.is("m-1", MoveOrdered)
	w.is("m-2", MoveOrdered)
}

// Evaluations that say the same are folded into one record.
func TestDecisionsFold(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.wait(time.Second)
		w.must(byLeader, Decide{Decision: Decision{ID: w.s.NextDecisionID(), Result: ResultNothing, Code: CodeBelowThreshold}})
	}
	w.must(byLeader, Decide{Decision: Decision{ID: w.s.NextDecisionID(), Result: ResultNothing, Code: CodeCooldown}})
	d, _ := w.s.Decision("d-1")
	if _, _, _, n := w.s.Size(); n != 2 || d.Repeated != 2 || d.LastAt.Sub(d.At) != 2*time.Second {
		t.Errorf("%d decisions, the first repeated %d times over %v; want 2, 2, 2s", n, d.Repeated, d.LastAt.Sub(d.At))
	}
}
