package rebalancer_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// moved has the first move of a fleet carried out, after which evenkeel only
// watches.
func (f *fleet) moved(r *rebalancer.Rebalancer) cluster.Move {
	f.t.Helper()
	m := f.untilOrdered(r)
	f.obedient()
	f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
	return m
}

// watched lets a fleet be known for some minutes before it may act.
func (f *fleet) watched(r *rebalancer.Rebalancer, d time.Duration) {
	f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
	f.play(r, d, nil)
	f.must(operator, cluster.SetMode{Mode: cluster.ModeAuto})
}

// A VM that always ran and does not any more is no success: it is suspect, and
// evenkeel stops itself until somebody has looked.
func TestNoSignOfLife(t *testing.T) {
	story(t, "crashed on arrival", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.watched(r, 7*time.Minute)
		m := f.moved(r)
		f.dead[int(m.VM[35]-'0')] = true
		f.play(r, time.Minute, nil)
		m = f.is(m.ID, cluster.MoveDone)
		if m.Verdict != cluster.VerdictSuspect || m.Measured == nil || !strings.Contains(m.Why, "no sign of life") || m.Predicted.VMRunFloor < 200 {
			t.Fatalf("verdict %q, floor %v, %s", m.Verdict, m.Predicted.VMRunFloor, m.Why)
		}
		if f.s.Frozen.Since == 0 || f.s.Frozen.Until != 0 || !strings.Contains(f.s.Frozen.Cause, m.ID) {
			t.Errorf("frozen %+v", f.s.Frozen)
		}
	})
	story(t, "nobody knew it before", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.moved(r)
		f.dead[int(m.VM[35]-'0')] = true
		f.play(r, time.Minute, nil)
		m = f.is(m.ID, cluster.MoveDone)
		if m.Verdict != cluster.VerdictBetter || f.s.Frozen.Since != 0 {
			t.Errorf("verdict %q, frozen %+v; a VM of a few seconds' record may well be idle", m.Verdict, f.s.Frozen)
		}
	})
}

// What a move does to those on the target counts against it.
func TestBystanders(t *testing.T) {
	story(t, "the VM waits less, the target's others much more", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		m := f.moved(r)
		f.vms[hvB] = append(f.vms[hvB], 9)
		f.hostPain = map[string]cluster.Ratio{hvB: cluster.Percent(90)}
		f.steal[hvB] = cluster.Percent(70)
		f.play(r, time.Minute, nil)
		m = f.is(m.ID, cluster.MoveDone)
		if m.Verdict != cluster.VerdictWorse || !strings.Contains(m.Why, "others on the target wait more") {
			t.Errorf("verdict %q, %s; measured %+v", m.Verdict, m.Why, m.Measured)
		}
	})
}

// drifting is a fleet with a third host, on which nothing happens, and a settle
// time of minutes.
func drifting(t *testing.T, scene func(f *fleet, r *rebalancer.Rebalancer)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.ModeRecommend, hvC)
		f.vms[hvC] = []int{8}
		set := f.s.Settings
		set.Settle = 5 * time.Minute
		f.must(operator, cluster.SetSettings{Settings: set})
		scene(f, f.leader())
	})
}

// What the hour does to all hosts is not the move's doing.
func TestDrift(t *testing.T) {
	for name, c := range map[string]struct {
		elsewhere cluster.Ratio
		verdict   cluster.Verdict
	}{
		"a storm everywhere": {cluster.Percent(40), cluster.VerdictBetter},
		"a storm there":      {0, cluster.VerdictWorse},
	} {
		t.Run(name, func(t *testing.T) {
			drifting(t, func(f *fleet, r *rebalancer.Rebalancer) {
				f.watched(r, 12*time.Minute)
				m := f.moved(r)
				f.steal[hvB], f.steal[hvC] = cluster.Percent(85), c.elsewhere
				f.play(r, 6*time.Minute, nil)
				m = f.is(m.ID, cluster.MoveDone)
				if m.Verdict != c.verdict {
					t.Errorf("verdict %q, want %q: %s", m.Verdict, c.verdict, m.Why)
				}
			})
		})
	}
}

// Another move that begins at once is in the figures, and that is said.
func TestMixedFigures(t *testing.T) {
	story(t, "two moves in a row", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		first := f.untilOrdered(r)
		f.obedient()
		f.untilOrdered(r)
		f.obedient()
		f.must(operator, cluster.SetMode{Mode: cluster.ModeRecommend})
		f.play(r, time.Minute, nil)
		m := f.is(first.ID, cluster.MoveDone)
		if m.WhyCode != cluster.CodeDisturbed || !strings.Contains(m.Why, "other moves touched its hosts meanwhile") || m.Measured == nil {
			t.Errorf("%s %s, measured %v", m.WhyCode, m.Why, m.Measured)
		}
	})
}
