package scheduler_test

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A VM whose move made things worse stays for a day, also where it was taken
// back: what comes of that move is known no better for it.
func TestUndoneMoveIsNotMadeAgain(t *testing.T) {
	f := newFleet(t)
	set := f.state.Settings
	set.AutoUndo, set.Cooldown = true, time.Minute
	f.must(operator, cluster.SetSettings{Settings: set})
	for _, name := range []string{"hv1", "hv2"} {
		f.announce(f.addHost(name))
	}
	for _, name := range []string{"a", "b", "c"} {
		f.addVM(name, "hv1").demand = 1000
	}
	f.wait(30 * time.Second)
	f.operate(cluster.TriggerAuto, "", "a", "hv2", cluster.MoveDone)
	f.must(leader, cluster.Verify{Move: f.state.NextMoveID(-1), Verdict: cluster.VerdictWorse, Text: "measured"})
	f.wait(30 * time.Second)
	f.operate(cluster.TriggerAuto, cluster.CodeUndo, "a", "hv1", cluster.MoveDone)
	f.wait(10 * time.Minute)
	held := false
	for _, v := range scheduler.Explain(scheduler.Input{State: f.state}, f.ids["a"]) {
		held = held || v.Code == cluster.CodeHeldBack
		if v.Code == "" {
			t.Errorf("it may go: %+v", v)
		}
	}
	if !held {
		t.Errorf("it is not held back: %+v", scheduler.Explain(scheduler.Input{State: f.state}, f.ids["a"]))
	}
}
