package scheduler_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// BenchmarkPlan plans for a fleet in which one host in ten suffers, and whose past
// hour is known.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []struct{ hosts, vms int }{{20, 20}, {50, 20}, {200, 20}, {1000, 20}} {
		b.Run(fmt.Sprintf("%dx%d", size.hosts, size.hosts*size.vms), func(b *testing.B) {
			f := newFleet(b)
			set := f.state.Settings
			set.PerCluster = 3
			f.must(operator, cluster.SetSettings{Settings: set})
			for i := range size.hosts {
				h := f.addHost(fmt.Sprintf("hv%d", i))
				h.cpus = 16_000
				f.announce(h)
				for j := range size.vms {
					v := f.addVM(fmt.Sprintf("vm%d-%d", i, j), h.name)
					v.VCPUs, v.demand = 2, cluster.MilliCPU(300+(i*131+j*71)%500)
					if i%10 == 0 {
						v.demand = 2000
					}
				}
			}
			for range 60 { // the past that moves are held against
				f.state.Now = f.state.Now.Add(59 * time.Second)
				f.wait(time.Second)
			}
			f.wait(5 * time.Second)
			b.ReportAllocs()
			var r scheduler.Result
			for b.Loop() {
				r = scheduler.Plan(scheduler.Input{State: f.state})
			}
			if len(r.Moves) == 0 {
				b.Fatalf("nothing was planned: %s", r.Text)
			}
			b.ReportMetric(float64(r.Iterations), "candidates")
		})
	}
}
