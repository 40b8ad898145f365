package scheduler

import (
	"math"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// TestWorstOfIsProcessorSharing finds the level by halving an interval, which
// knows nothing of who is served first, and asks that names have no part in it.
func TestWorstOfIsProcessorSharing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := cluster.MilliCPU(rapid.IntRange(1, 8000).Draw(t, "cpus"))
		var crowd []thread
		for range rapid.IntRange(1, 12).Draw(t, "sharers") {
			vcpus := int64(rapid.IntRange(1, 4).Draw(t, "vcpus"))
			crowd = append(crowd, thread{cluster.MilliCPU(rapid.Int64Range(0, 1000*vcpus).Draw(t, "demand")), vcpus, vcpus * rapid.Int64Range(1, 400).Draw(t, "shares"), 1})
		}
		crowd[0].counts = float64(rapid.IntRange(0, 2).Draw(t, "counts"))
		want := worstByHalving(crowd, float64(cpus))
		if got := worstOf(slices.Clone(crowd), cpus); math.Abs(got-want) > 1e-6 {
			t.Errorf("%v on %d: worst %v, want %v", crowd, cpus, got, want)
		}
		turned := slices.Clone(crowd)
		slices.Reverse(turned)
		if a, b := worstOf(slices.Clone(crowd), cpus), worstOf(turned, cpus); a != b {
			t.Errorf("%v in this order, %v in the other", a, b)
		}
	})
}

func worstByHalving(crowd []thread, cpus float64) float64 {
	used := func(level float64) (sum float64) {
		for _, t := range crowd {
			sum += min(float64(t.demand), level*float64(t.shares)/100)
		}
		return sum
	}
	low, high := 0.0, 100_000.0
	if used(high) <= cpus {
		return 0
	}
	for range 100 {
		if mid := (low + high) / 2; used(mid) <= cpus {
			low = mid
		} else {
			high = mid
		}
	}
	worst := 0.0
	for _, t := range crowd {
		worst = max(worst, t.counts*(float64(t.demand)-low*float64(t.shares)/100)/float64(t.vcpus)/1000)
	}
	return worst
}
