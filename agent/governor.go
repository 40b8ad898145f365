package agent

import (
	"fmt"
	"time"
)

// rung is how much is found out, and so what measuring costs: dearest first.
type rung uint8

const (
	rungExact     rung = iota // every wait is split over its culprits
	rungSampled               // one wait in sixteen is
	rungSums                  // sums and distribution
	rungSchedstat             // the probe is out of the kernel
)

func (r rung) String() string { return [...]string{"exact", "sampled", "sums", "schedstat"}[r] }

// governor keeps what the probe costs below a ceiling: down a rung when it has
// been above for a while, up again when the host has long been quiet. It never
// flaps: each return to a rung that proved too dear waits twice as long.
type governor struct {
	ceiling float64 // of a CPU: what the probe may take of the whole host
	at      rung

	since   time.Duration // when it came to this rung
	over    time.Duration // since when the cost has been above the ceiling, 0 if it is not
	calm    time.Duration // since when it has been so low that the rung above may do, 0 if it is not
	climbed bool          // this rung was reached from below
	wait    time.Duration // how long it must be calm before the next climb
}

const (
	// A rung is judged by its own cost only: windows of ten seconds, the first of
	// which still has some of the rung before.
	governWindow = 10 * time.Second
	governOver   = 3 * time.Second
	// calmShare is the share of the ceiling below which the rung above is tried: no
	// rung costs over four times as much as the next (22-38 ns to 14 ns a wait).
	calmShare    = 0.25
	governClimb  = 5 * time.Minute
	governSlowly = 4 * time.Hour // the longest that a climb waits
)

// newGovernor begins on the dearest rung.
func newGovernor(ceiling float64) *governor { return &governor{ceiling: ceiling, wait: governClimb} }

// judge takes the probe's present cost, in CPUs over the last window, and says
// whether to change the rung, and why. Time is CLOCK_BOOTTIME.
func (g *governor) judge(cost float64, now time.Duration) (why string, changed bool) {
	g.over = since(g.over, now, cost > g.ceiling)
	g.calm = since(g.calm, now, cost <= calmShare*g.ceiling)
	switch {
	case now-g.since < governWindow+governOver:
		return "", false
	case g.at < rungSchedstat && g.over != 0 && now-g.over >= governOver:
		return g.down(cost, now), true
	case g.at > rungExact && g.calm != 0 && now-g.calm >= g.wait && now-g.since >= g.wait:
		return g.up(cost, now), true
	}
	if g.climbed && now-g.since >= g.wait {
		g.climbed, g.wait = false, governClimb // it held: forgiven
	}
	return "", false
}

// since keeps the moment from which something has been so; moments are never 0.
func since(began, now time.Duration, so bool) time.Duration {
	switch {
	case !so:
		return 0
	case began == 0:
		return max(now, 1)
	}
	return began
}

func (g *governor) down(cost float64, now time.Duration) string {
	if g.climbed {
		g.wait = min(2*g.wait, governSlowly)
	}
	from := g.at
	g.at++
	g.come(now, false)
	return fmt.Sprintf("the probe takes %.1f %% of a CPU, above the ceiling of %.1f %%: from %v to %v; tried again after %v of quiet",
		100*cost, 100*g.ceiling, from, g.at, g.wait)
}

func (g *governor) up(cost float64, now time.Duration) string {
	from := g.at
	g.at--
	g.come(now, true)
	return fmt.Sprintf("the probe has taken %.1f %% of a CPU or less for %v: from %v to %v", 100*max(cost, calmShare*g.ceiling), g.wait, from, g.at)
}

func (g *governor) come(now time.Duration, climbed bool) {
	g.since, g.over, g.calm, g.climbed = now, 0, 0, climbed
}
