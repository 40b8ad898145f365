package rebalancer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// undoing are the decisions that are about taking a move back, newest first.
func (f *fleet) undoing() (out []cluster.Decision) {
	for _, d := range f.decisions() {
		if d.Undoes != "" {
			out = append(out, d)
		}
	}
	return out
}

// regretted has a move of the fleet's first VM made by evenkeel itself, or
// ordered by a person, and make things worse, while evenkeel only watches.
func (f *fleet) regretted(r *rebalancer.Rebalancer, byHand bool) cluster.Move {
	f.t.Helper()
	var m cluster.Move
	if byHand {
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		f.play(r, 10*time.Second, nil)
		d, orders := rebalancer.Ask(f.s, hvA, f.s.Now, cluster.Asked{By: "ann", VM: vmID(1), Target: hvB})
		f.must(operator, cluster.Decide{Decision: d, Orders: orders})
		f.obedient()
		m = f.moves()[0]
	} else {
		m = f.moved(r)
	}
	f.steal[hvB] = cluster.Percent(90)
	f.play(r, f.s.Settings.Settle+time.Second, nil)
	if m = f.is(m.ID, cluster.MoveDone); m.Verdict != cluster.VerdictWorse {
		f.t.Fatalf("verdict %q: %s", m.Verdict, m.Why)
	}
	return m
}

func (f *fleet) mayUndo() {
	set := f.s.Settings
	set.AutoUndo = true
	f.must(operator, cluster.SetSettings{Settings: set})
}

// A move that made things worse is to be taken back: that is a decision of its
// own, with its reason, said once. Without the policy's word nothing moves.
func TestUndoIsRecommended(t *testing.T) {
	story(t, "in mode auto", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.regretted(r, false)
		f.play(r, 5*time.Minute, nil)
		all := f.undoing()
		if len(all) != 1 {
			t.Fatalf("%d decisions: %+v", len(all), all)
		}
		d := all[0]
		if d.Undoes != m.ID || d.Result != cluster.ResultRecommended || d.Code != cluster.CodeUndo || !strings.Contains(d.Text, "auto_undo=true") ||
			len(d.Proposed) != 1 || d.Proposed[0].VM != m.VM || d.Proposed[0].Target != m.Source || !strings.Contains(d.Proposed[0].Text, "made things worse") {
			t.Errorf("decided %+v", d)
		}
		if n := len(f.moves()); n != 1 {
			t.Errorf("%d moves", n)
		}
	})
	story(t, "of a person's order, whatever the policy says", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.mayUndo()
		m := f.regretted(r, true)
		f.must(operator, cluster.Pause{Until: f.s.Now.Add(time.Second), Text: "no move of its own"})
		f.play(r, time.Minute, nil)
		all := f.undoing()
		if len(all) != 1 || all[0].Undoes != m.ID || all[0].Result != cluster.ResultRecommended || !strings.Contains(all[0].Text, "an operator had ordered it") {
			t.Errorf("decided %+v", all)
		}
	})
}

// With the policy's word evenkeel takes a move back, once: the cooldown does not
// hold it, and what comes of it is not taken back again.
func TestUndoOnce(t *testing.T) {
	story(t, "by itself", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.mayUndo()
		m := f.regretted(r, false)
		if d := f.undoing(); len(d) != 1 || d[0].Code != cluster.CodeModeRecommend {
			t.Fatalf("in mode recommend it is decided %+v", d)
		}
		f.play(r, time.Minute, nil)
		f.must(operator, cluster.SetMode{Mode: cluster.ModeAuto})
		f.play(r, time.Second, nil)
		back := f.moves()[len(f.moves())-1]
		if back.ID == m.ID || back.Code != cluster.CodeUndo || back.VM != m.VM || back.Source != m.Target || back.Target != m.Source || back.Trigger != cluster.TriggerAuto {
			t.Fatalf("ordered %+v", back.Order)
		}
		d, _ := f.s.Decision(back.Decision)
		if d.Undoes != m.ID || d.Result != cluster.ResultMoved || !strings.Contains(back.Reason, "takes "+m.ID+" back") {
			t.Errorf("decided %+v, reason %q", d, back.Reason)
		}
		f.obedient()
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		f.steal[hvA] = cluster.Percent(99)
		f.play(r, f.s.Settings.Settle+time.Second, nil)
		if back = f.is(back.ID, cluster.MoveDone); back.Verdict != cluster.VerdictWorse {
			t.Fatalf("the undoing is %q: %s", back.Verdict, back.Why)
		}
		before := len(f.undoing())
		f.play(r, 5*time.Minute, nil)
		if after := f.undoing(); len(after) != before {
			t.Errorf("the undoing is to be undone: %+v", after[0])
		}
	})
	story(t, "not again if it came to nothing", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.mayUndo()
		m := f.regretted(r, false)
		f.play(r, time.Minute, nil)
		f.must(operator, cluster.SetMode{Mode: cluster.ModeAuto})
		f.play(r, time.Second, nil)
		back := f.moves()[len(f.moves())-1]
		if back.Code != cluster.CodeUndo {
			t.Fatalf("ordered %+v", back.Order)
		}
		f.must(agentOf(back.Target), cluster.Veto{Move: back.ID, Code: cluster.CodeTargetBusy, Text: "it suffers itself"})
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		f.play(r, 5*time.Minute, nil)
		d := f.undoing()[0]
		if d.Undoes != m.ID || d.Result != cluster.ResultRecommended || !strings.Contains(d.Text, "has tried once") {
			t.Errorf("decided %+v", d)
		}
	})
}
