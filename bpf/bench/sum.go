package main

import (
	"math"
	"slices"
)

// median is the middle of the samples, NaN of none.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// quartiles are the samples' first and third, by linear interpolation between
// the closest ranks: what a table shows as spread.
func quartiles(samples []float64) (low, high float64) {
	if len(samples) == 0 {
		return math.NaN(), math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	at := func(q float64) float64 {
		pos := q * float64(len(s)-1)
		i := int(pos)
		if i+1 == len(s) {
			return s[i]
		}
		return s[i] + (pos-float64(i))*(s[i+1]-s[i])
	}
	return at(0.25), at(0.75)
}

// ratios divides round by round, so that what disturbed a whole round cancels.
func ratios(of, by []float64) []float64 {
	var out []float64
	for i := range min(len(of), len(by)) {
		if by[i] > 0 {
			out = append(out, of[i]/by[i])
		}
	}
	return out
}

// usage is what the kernel counted of some programs (BPF_ENABLE_STATS).
type usage struct {
	runs uint64
	ns   uint64
}

func (u usage) sub(o usage) usage { return usage{u.runs - o.runs, u.ns - o.ns} }

// perRun is the mean of a run in ns, 0 without one.
func (u usage) perRun() float64 {
	if u.runs == 0 {
		return 0
	}
	return float64(u.ns) / float64(u.runs)
}

// net is what the programs took per event in ns, less what as many runs of an
// empty program take: reading the clock twice and entering it.
func (u usage) net(events uint64, emptyNS float64) float64 {
	if events == 0 {
		return math.NaN()
	}
	return (float64(u.ns) - emptyNS*float64(u.runs)) / float64(events)
}
