package cluster

import (
	"testing"
	"time"
)

// drained has a VM leave hv1 for hv2 as a drain's order does.
func (w *world) drained(vm, source, target string) {
	w.t.Helper()
	o := w.orderOf(vm, source, target, TriggerOperator)
	o.Code = CodeDrain
	w.must(byLeader, Decide{w.decisionOf(ResultMoved, TriggerOperator), []Order{o}})
	w.must(byHost(target), Reserve{o.ID})
	w.must(byHost(source), Claim{o.ID, 1})
	w.must(byHost(source), Start{Move: o.ID})
	gone := Evidence{PresenceAbsent, false, w.s.Now}
	runs := Evidence{PresenceRunning, true, w.s.Now}
	w.must(byHost(source), EndJob{Move: o.ID, Evidence: gone})
	w.must(byHost(target), Testify{Move: o.ID, Evidence: runs})
	if m, _ := w.s.Move(o.ID); m.State != MoveDone {
		w.t.Fatalf("the move is %s: %s", m.State, m.Why)
	}
}

func (w *world) decisionOf(result Result, trigger Trigger) Decision {
	return Decision{ID: w.s.NextDecisionID(), Index: w.index, Mode: w.s.Mode, Policy: "demand", Trigger: trigger, Result: result, Text: "so"}
}

// A cordoned host gets no VM, whoever orders it; one that is not cordoned does.
func TestCordonKeepsVMsOut(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetCordon{Host: hv2, Text: "new board"})
	if c, ok := w.s.Cordoned(hv2); !ok || c.By != "ann" || c.Since != w.s.Now || c.Drain {
		t.Fatalf("cordon %+v, %v", c, ok)
	}
	for _, trigger := range []Trigger{TriggerAuto, TriggerOperator} {
		w.refuses(CodeCordoned, byLeader, Decide{w.decisionOf(ResultMoved, trigger), []Order{w.orderOf(vmA, hv1, hv2, trigger)}})
	}
	w.must(byLeader, Decide{w.decisionOf(ResultMoved, TriggerOperator), []Order{w.orderOf(vmA, hv1, hv3, TriggerOperator)}})
	w.must(byOperator, LiftCordon{Host: hv2})
	w.must(byOperator, LiftCordon{Host: hv2}) // again: it is so
	if _, ok := w.s.Cordoned(hv2); ok {
		t.Error("still cordoned")
	}
}

// Only operators cordon, only hypervisors are cordoned, and an operator's
// decision cannot pass for the leader's own.
func TestCordonRefuses(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeNotYours, byHost(hv1), SetCordon{Host: hv2})
	w.refuses(CodeUnknownHost, byOperator, SetCordon{Host: witness})
	w.refuses(CodeUnknownHost, byOperator, LiftCordon{Host: "hv2"})
	w.refuses(CodeNotYours, byOperator, Decide{w.decisionOf(ResultMoved, TriggerAuto), []Order{w.orderOf(vmA, hv1, hv2, TriggerAuto)}})
	w.must(byOperator, Decide{w.decisionOf(ResultMoved, TriggerOperator), []Order{w.orderOf(vmA, hv1, hv2, TriggerOperator)}})
}

// What was drained comes back if that is asked for: each VM that is still
// elsewhere, once, for a day.
func TestRestore(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetCordon{Host: hv1, Drain: true})
	since := w.s.Now
	w.wait(time.Second)
	w.drained(vmA, hv1, hv2)
	w.must(byOperator, SetCordon{Host: hv1, Drain: true, Text: "again"})
	if c, _ := w.s.Cordoned(hv1); c.Since != since || c.Text != "again" {
		t.Errorf("cordon %+v, want since %v", c, since)
	}
	w.must(byOperator, LiftCordon{Host: hv1, Restore: true})
	if got := w.s.Returning(); len(got) != 1 || got[0].VM != vmA || got[0].Host != hv1 || got[0].By != "ann" {
		t.Fatalf("returning %+v", got)
	}
	w.wait(ReturnWithin)
	if got := w.s.Returning(); len(got) != 0 {
		t.Errorf("a day later still returning %+v", got)
	}
}

// Cordoning the host again takes the wish back.
func TestCordonEndsRestore(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetCordon{Host: hv1, Drain: true})
	w.drained(vmA, hv1, hv2)
	w.must(byOperator, LiftCordon{Host: hv1, Restore: true})
	w.must(byOperator, SetCordon{Host: hv1})
	if got := w.s.Returning(); len(got) != 0 {
		t.Errorf("returning %+v to a cordoned host", got)
	}
}

// A VM that has come back is no longer asked for, wherever it goes afterwards;
// nor is one that an operator has moved elsewhere since. What the balancer does
// with it meanwhile leaves the wish as it is.
func TestReturnIsFulfilledOnce(t *testing.T) {
	begin := func() *world {
		w := newWorld(t)
		w.must(byOperator, SetCordon{Host: hv1, Drain: true})
		w.wait(time.Second)
		w.drained(vmA, hv1, hv2)
		w.must(byOperator, LiftCordon{Host: hv1, Restore: true})
		return w
	}
	for what, c := range map[string]struct {
		target  string
		trigger Trigger
		code    Code
		open    int
	}{
		"brought back":              {hv1, TriggerOperator, CodeRestore, 0},
		"brought back by an order":  {hv1, TriggerOperator, "", 0},
		"moved on by an operator":   {hv3, TriggerOperator, "", 0},
		"moved on by another drain": {hv3, TriggerOperator, CodeDrain, 1},
		"moved on by the balancer":  {hv3, TriggerAuto, CodeRelieved, 1},
	} {
		w := begin()
		m := Move{Order: Order{ID: moveID(9), VM: vmA, Source: hv2, Target: c.target, Trigger: c.trigger, Code: c.code}, Seq: 9}
		w.s.end(m, MoveDone, "seen")
		if got := w.s.Returns; len(got) != c.open {
			t.Errorf("%s: %d wishes left, want %d", what, len(got), c.open)
		}
		m.VM = vmB
		w.s.end(m, MoveDone, "seen")
		if got := w.s.Returns; len(got) != c.open {
			t.Errorf("%s, then another VM: %d wishes left, want %d", what, len(got), c.open)
		}
	}
}
