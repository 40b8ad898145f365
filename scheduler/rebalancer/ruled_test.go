package rebalancer_test

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// Moves of VMs in mode recommend are recommended and not made, even if no
// other move helps; nothing at all is said for those in mode off.
func TestOnlyRecommended(t *testing.T) {
	for name, c := range map[string]struct {
		mode   cluster.Mode
		result cluster.Result
	}{
		"recommend": {cluster.ModeRecommend, cluster.ResultRecommended},
		"off":       {cluster.ModeOff, cluster.ResultNothing},
	} {
		story(t, name, cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
			f.beat()
			for _, p := range f.vms[hvA] {
				f.must(operator, cluster.SetVMRule{VM: vmID(p), Mode: c.mode})
			}
			f.play(r, time.Minute, nil)
			if f.s.LastMove != 0 {
				t.Fatalf("%d moves were ordered", f.s.LastMove)
			}
			for _, d := range f.s.DecisionsBackward() {
				if d.Result != c.result || d.Code != cluster.CodeVMMode || (len(d.Proposed) > 0) != (c.mode == cluster.ModeRecommend) {
					t.Errorf("%s: %s %s, proposed %+v", d.Result, d.Code, d.Text, d.Proposed)
				}
				return
			}
			t.Error("nothing was decided")
		})
	}
}
