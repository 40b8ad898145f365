package agent

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// rule runs a governor for a while, a judgement a second; cost says what the
// probe takes on each rung. It returns the rungs that it came to, with when.
func rule(g *governor, from, until time.Duration, cost func(at rung, now time.Duration) float64) []string {
	var course []string
	for now := from; now < until; now += time.Second {
		if _, changed := g.judge(cost(g.at, now), now); changed {
			course = append(course, now.String()+" "+g.at.String())
		}
	}
	return course
}

// A storm of switches makes the probe too dear: it steps down rung by rung, a
// full window apart, and out of the kernel if nothing else helps.
func TestStepsDownUnderAStorm(t *testing.T) {
	g := newGovernor(0.02)
	course := rule(g, time.Minute, 3*time.Minute, func(at rung, _ time.Duration) float64 {
		if at == rungSchedstat {
			return 0
		}
		return 0.5
	})
	if want := "1m3s sampled, 1m16s sums, 1m29s schedstat"; strings.Join(course, ", ") != want {
		t.Errorf("course %v\nwant %s", course, want)
	}
}

// It stops at the first rung that is cheap enough, and stays there while a
// rung above would be too dear again.
func TestStaysWhereItIsCheapEnough(t *testing.T) {
	g := newGovernor(0.02)
	course := rule(g, time.Minute, time.Hour, func(at rung, _ time.Duration) float64 { return []float64{0.03, 0.015, 0.01, 0}[at] })
	if len(course) != 1 || g.at != rungSampled {
		t.Errorf("course %v, ends at %v", course, g.at)
	}
}

// A second's peak changes nothing.
func TestPeaksAreForgiven(t *testing.T) {
	g := newGovernor(0.02)
	course := rule(g, time.Minute, time.Hour, func(_ rung, now time.Duration) float64 {
		if now%(10*time.Second) < 2*time.Second {
			return 0.5
		}
		return 0.001
	})
	if len(course) != 0 {
		t.Errorf("course %v", course)
	}
}

// When the storm is over it climbs back, rung by rung. The try in the midst of
// the storm has made it wait ten minutes instead of five.
func TestClimbsBackWhenItIsQuiet(t *testing.T) {
	g := newGovernor(0.02)
	storm := 10 * time.Minute
	course := rule(g, time.Minute, time.Hour, func(at rung, now time.Duration) float64 {
		if now < storm && at < rungSums {
			return 0.5
		}
		return 0.0001
	})
	want := "1m3s sampled, 1m16s sums, 6m17s sampled, 6m30s sums, 16m31s sampled, 26m32s exact"
	if got := strings.Join(course, ", "); got != want {
		t.Errorf("course %s\nwant   %s", got, want)
	}
}

// Where the rung below is very cheap and the one above too dear, each try
// waits twice as long: a day sees few of them.
func TestDoesNotFlap(t *testing.T) {
	g := newGovernor(0.02)
	course := rule(g, time.Minute, 25*time.Hour, func(at rung, _ time.Duration) float64 { return []float64{0.5, 0.001, 0.001, 0}[at] })
	if len(course) > 2*13 {
		t.Errorf("%d steps in a day: %v", len(course), course)
	}
	if g.at > rungSampled {
		t.Errorf("ends at %v", g.at)
	}
}

// Laws, whatever the probe costs: two steps are never closer than a window,
// each goes to the next rung, a step down follows only cost above the ceiling
// and a step up only cost well below it, and each says why.
func TestGovernorLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ceiling := rapid.Float64Range(0.001, 1).Draw(t, "ceiling")
		g := newGovernor(ceiling)
		var last time.Duration
		now := time.Duration(0)
		for range rapid.IntRange(1, 400).Draw(t, "seconds") {
			now += time.Duration(rapid.IntRange(1, 120).Draw(t, "gap")) * time.Second
			cost := rapid.SampledFrom([]float64{0, 0.1, 0.25, 0.26, 1, 1.01, 50}).Draw(t, "cost") * ceiling
			before := g.at
			why, changed := g.judge(cost, now)
			if changed != (g.at != before) || changed != (why != "") {
				t.Fatalf("changed %v, %v -> %v, why %q", changed, before, g.at, why)
			}
			if !changed {
				continue
			}
			switch {
			case g.at > rungSchedstat:
				t.Fatalf("rung %d", g.at)
			case last != 0 && now-last < governWindow:
				t.Fatalf("steps %v apart", now-last)
			case g.at == before+1 && cost <= ceiling:
				t.Fatalf("down at %v of the ceiling", cost/ceiling)
			case g.at == before-1 && cost > calmShare*ceiling:
				t.Fatalf("up at %v of the ceiling", cost/ceiling)
			case g.at != before+1 && g.at != before-1:
				t.Fatalf("from %v to %v", before, g.at)
			}
			last = now
		}
	})
}
