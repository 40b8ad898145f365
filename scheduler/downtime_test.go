package scheduler_test

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// For how long a VM will stand still is told from the moves before it: to the
// same host if there were any, and of VMs that arrive as it does.
func TestDowntimeIsPredicted(t *testing.T) {
	begin := func(change func(*cluster.Settings)) *fleet {
		f := newFleet(t)
		set := f.state.Settings
		set.Cooldown, set.PerHour, set.PerDay = 0, 100, 100
		change(&set)
		f.must(operator, cluster.SetSettings{Settings: set})
		for _, name := range []string{"hv1", "hv2", "hv3"} {
			f.announce(f.addHost(name))
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			f.addVM(name, "hv1")
		}
		f.wait(10 * time.Second)
		return f
	}
	predicted := func(f *fleet, vm, target string) time.Duration {
		t.Helper()
		r := scheduler.Ask(scheduler.Input{State: f.state}, f.ids[vm], f.ids[target], "asked")
		if len(r.Moves) != 1 {
			t.Fatalf("%s to %s: %s %s", vm, target, r.Code, r.Text)
		}
		return r.Moves[0].Predicted.Downtime
	}
	moved := func(f *fleet, vm, to string, stood time.Duration) {
		t.Helper()
		f.stood = stood
		f.operate(cluster.TriggerOperator, "", vm, to, cluster.MoveDone)
		f.wait(10 * time.Second)
	}
	plain := func(*cluster.Settings) {}

	f := begin(plain)
	if got := predicted(f, "a", "hv2"); got != 300*time.Millisecond {
		t.Errorf("nothing is known, and %v are predicted", got)
	}
	for i, stood := range []time.Duration{20, 80, 40} {
		moved(f, []string{"a", "b", "c"}[i], "hv2", stood*time.Millisecond)
	}
	if got := predicted(f, "d", "hv2"); got != 40*time.Millisecond {
		t.Errorf("of 20, 80 and 40 ms to that host the median is predicted as %v", got)
	}
	if got := predicted(f, "d", "hv3"); got != 40*time.Millisecond {
		t.Errorf("to a host that nothing was moved to, %v are predicted", got)
	}
	moved(f, "a", "hv3", 900*time.Millisecond)
	if got := predicted(f, "d", "hv3"); got != 900*time.Millisecond {
		t.Errorf("the last move to that host stood 900 ms, and %v are predicted", got)
	}
	f.state.Now = f.state.Now.Add(25 * time.Hour)
	f.wait(10 * time.Second)
	if got := predicted(f, "d", "hv2"); got != 300*time.Millisecond {
		t.Errorf("a day later %v are predicted", got)
	}

	f = begin(func(set *cluster.Settings) { set.MaxDowntime = time.Second })
	if got := predicted(f, "a", "hv2"); got != time.Second {
		t.Errorf("the policy allows 1 s, and %v are predicted", got)
	}
	f = begin(func(set *cluster.Settings) { set.ArrivePaused = true })
	moved(f, "a", "hv2", 40*time.Millisecond)
	f.vm("b").Lock = cluster.LockNone
	f.host("hv1").revision++
	f.wait(10 * time.Second)
	if got := predicted(f, "b", "hv2"); got != 2*time.Second {
		t.Errorf("one that arrives paused is predicted to stand %v, as if it did not", got)
	}
}
