package main

import (
	"context"
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// workload is played in rounds of n events; it tells the ns per event and how
// many events the kernel itself counted.
type workload interface {
	play(n int) (nsPerEvent float64, events uint64, err error)
}

// result is what the rounds showed of one contender.
type result struct {
	name    string
	ns      []float64 // workload's ns per event, without the kernel's statistics
	net     []float64 // programs' net ns per event
	perRun  []float64 // programs' ns per run, gross
	runs    []float64 // programs' runs per event
	counted uint64    // events that the contender says it saw
	truth   uint64    // events that there were, by the kernel's own count
	tells   bool      // the contender tells what it counted
}

// rounds plays the workload under each contender by turns, each time beginning
// with another, so that what changes over minutes meets all alike. In each
// round the workload is timed first, and then the programs, since the kernel's
// statistics cost time themselves. The bare hook is the second contender.
func rounds(ctx context.Context, w workload, all []contender, count, n int) ([]result, error) {
	results := make([]result, len(all))
	for i, c := range all {
		results[i].name = c.name
	}
	for round := range count {
		raw := make([]sample, len(all))
		for k := range all {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			i := (round + k) % len(all)
			var err error
			if raw[i], err = once(ctx, w, all[i], n); err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
		empty := raw[1].used.perRun()
		for i, s := range raw {
			results[i].add(s, empty)
		}
	}
	return results, nil
}

// sample is one round of one contender.
type sample struct {
	ns             float64
	used           usage
	events         uint64 // in the round with statistics
	counted, truth uint64 // over the timed round
	tells          bool
}

func (r *result) add(s sample, emptyNS float64) {
	r.ns = append(r.ns, s.ns)
	r.counted += s.counted
	r.truth += s.truth
	r.tells = s.tells
	if s.used.runs == 0 {
		return
	}
	r.perRun = append(r.perRun, s.used.perRun())
	r.runs = append(r.runs, float64(s.used.runs)/float64(max(s.events, 1)))
	if net := s.used.net(s.events, emptyNS); !math.IsNaN(net) {
		r.net = append(r.net, net)
	}
}

func once(ctx context.Context, w workload, c contender, n int) (s sample, err error) {
	before, err := loaded()
	if err != nil {
		return s, err
	}
	at, err := c.start(ctx)
	if err != nil {
		return s, err
	}
	defer at.stop()
	if _, _, err = w.play(n/10 + 1); err != nil { // warms up, and sets baselines
		return s, err
	}
	if s, err = timed(w, at, n); err != nil {
		return s, err
	}
	statistics, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return s, fmt.Errorf("turn the kernel's statistics on: %w", err)
	}
	defer statistics.Close()
	u0, err := used(before)
	if err != nil {
		return s, err
	}
	if _, s.events, err = w.play(n); err != nil {
		return s, err
	}
	u1, err := used(before)
	s.used = u1.sub(u0)
	return s, err
}

func timed(w workload, at running, n int) (s sample, err error) {
	var c0, c1 uint64
	if at.counted != nil {
		if c0, err = at.counted(); err != nil {
			return s, err
		}
	}
	if s.ns, s.truth, err = w.play(n); err != nil {
		return s, err
	}
	if at.counted != nil {
		c1, err = at.counted()
		s.counted, s.tells = c1-c0, true
	}
	return s, err
}
