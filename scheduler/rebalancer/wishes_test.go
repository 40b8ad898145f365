package rebalancer_test

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// end carries a move out in the model.
func (f *fleet) end(m cluster.Move, number int) {
	f.t.Helper()
	f.must(agentOf(m.Target), cluster.Reserve{Move: m.ID})
	f.must(agentOf(m.Source), cluster.Claim{Move: m.ID, Incarnation: 1})
	f.must(agentOf(m.Source), cluster.Start{Move: m.ID})
	f.must(agentOf(m.Source), cluster.EndJob{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
	f.must(agentOf(m.Target), cluster.Testify{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}})
	var left []int
	for _, n := range f.vms[m.Source] {
		if n != number {
			left = append(left, n)
		}
	}
	f.vms[m.Source] = left
	f.vms[m.Target] = append(f.vms[m.Target], number)
}

// An operator's word is carried out in any mode, move after move, and what is
// done is recorded as the operator's.
func TestDrain(t *testing.T) {
	story(t, "a host is emptied, mode off", cluster.ModeOff, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 10*time.Second, nil)
		f.must(operator, cluster.SetCordon{Host: hvA, Drain: true})
		for range 4 {
			m := f.untilOrdered(r)
			if m.Trigger != cluster.TriggerOperator || m.Code != cluster.CodeDrain || m.Source != hvA || m.Target != hvB {
				t.Fatalf("ordered %+v", m.Order)
			}
			f.end(m, int(m.VM[35]-'0'))
		}
		f.play(r, 30*time.Second, nil)
		if n := len(f.moves()); n != 4 {
			t.Errorf("%d moves of 4 VMs", n)
		}
		d, ok := f.s.Decision(f.moves()[0].Decision)
		if !ok || d.Trigger != cluster.TriggerOperator || d.Result != cluster.ResultMoved || d.PlannedAt == 0 {
			t.Errorf("recorded as %+v", d)
		}
	})
	story(t, "a freeze holds it, and is said once a minute", cluster.ModeOff, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 10*time.Second, nil)
		f.must(operator, cluster.Freeze{Cause: "moves fail", Until: f.s.Now.Add(3 * time.Minute)})
		f.must(operator, cluster.SetCordon{Host: hvA, Drain: true})
		f.play(r, 2*time.Minute, nil)
		d := f.decisions()[0]
		if len(f.moves()) != 0 || d.Result != cluster.ResultRecommended || d.Code != cluster.CodeFrozen || len(d.Proposed) == 0 {
			t.Errorf("%d moves, %+v", len(f.moves()), d)
		}
		if n := f.count("decide"); n > 4 {
			t.Errorf("recorded %d times in 2 minutes", n)
		}
		f.play(r, 90*time.Second, nil)
		f.untilOrdered(r)
	})
}

// Evenkeel's own decisions and those on a drain are folded each for itself.
func TestDrainBesideItsOwn(t *testing.T) {
	story(t, "stuck drain in recommend", cluster.ModeRecommend, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 30*time.Second, nil)
		f.must(operator, cluster.SetCordon{Host: hvB})
		f.must(operator, cluster.SetCordon{Host: hvA, Drain: true})
		before := f.count("decide")
		f.play(r, 5*time.Minute, nil)
		if n := f.count("decide") - before; n > 14 {
			t.Errorf("recorded %d times in 5 minutes, of two kinds each once a minute", n)
		}
	})
}

// The State takes what Ask makes of an operator's wish, and Ask is a function
// of its arguments.
func TestAsk(t *testing.T) {
	story(t, "to a host", cluster.ModeOff, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 10*time.Second, nil)
		asked := cluster.Asked{By: "ann", VM: vmID(1), Target: hvB}
		d, orders := rebalancer.Ask(f.s, hvA, f.s.Now, asked)
		if d.Asked == nil || *d.Asked != asked || len(orders) != 1 || orders[0].Target != hvB {
			t.Fatalf("%+v, %+v", d, orders)
		}
		f.must(operator, cluster.Decide{Decision: d, Orders: orders})
		if m := f.moves()[0]; m.Trigger != cluster.TriggerOperator || m.VM != vmID(1) {
			t.Errorf("ordered %+v", m.Order)
		}
		d, orders = rebalancer.Ask(f.s, hvA, f.s.Now, asked)
		if len(orders) != 0 || d.Code != cluster.CodeLimitCluster && d.Code != cluster.CodeMoveInFlight {
			t.Errorf("a second order: %s %s, %+v", d.Code, d.Text, orders)
		}
	})
}
