package main

import (
	"fmt"
	"math"
	"strings"
)

// demandSizes are the VMs of the fleets over which growth is fitted, with thirty
// on a host.
var demandSizes = []int{1440, 3000, 6000, 12_000, 18_000, 30_000}

const (
	vmsOnHost    = 30
	reliefAim    = 0.2 // seconds
	demandMoves  = 50  // of a plan for the whole fleet
	denseHosts   = 100
	denseVMs     = 10_000
	denseSeconds = 2
	largeHosts   = 1000
	largeVMs     = 30_000
	largeSeconds = 5
	mib          = 1 << 20
)

// planned is one line of the command demand.
type planned struct {
	seconds, cpu      float64
	moves, candidates int
	allocations       int64
	bytes, heap       int64
}

// demand has policy demand decide about fleets with all rules on.
func demand(b *bench) error {
	var vms, took []float64
	for _, n := range demandSizes {
		if b.quick && n > 6000 {
			continue
		}
		runs, _, err := b.decide(n/vmsOnHost, n, 0)
		if err != nil {
			return err
		}
		vms, took = append(vms, float64(n)), append(took, runs["decided"].cpu)
		b.add(aim{
			what: fmt.Sprintf("demand %dx%d, all rules on: CPU time of a decision", n/vmsOnHost, n), aim: "-",
			measured: fmt.Sprintf("%.3f s", runs["decided"].cpu), met: shown, beside: runs["decided"].words(),
		})
	}
	b.add(aim{
		what: fmt.Sprintf("demand, %.0f to %.0f VMs: CPU time as the fleet grows", vms[0], vms[len(vms)-1]), aim: "-",
		measured: fmt.Sprintf("VMs^%.2f", exponent(vms, took)), met: shown, beside: "least squares on logarithms",
	})
	if err := b.aimed(denseHosts, denseVMs, denseSeconds); err != nil || b.quick {
		return err
	}
	return b.aimed(largeHosts, largeVMs, largeSeconds)
}

// aimed decides about a fleet that has an aim.
func (b *bench) aimed(hosts, vms int, most float64) error {
	runs, peak, err := b.decide(hosts, vms, demandMoves)
	if err != nil {
		return err
	}
	of := fmt.Sprintf("demand %dx%d, all rules on", hosts, vms)
	decided, relief, fleet := runs["decided"], runs["relief"], runs["fleet"]
	b.add(aim{
		what: of + ": decided", aim: fmt.Sprintf("<= %.0f s", most), measured: fmt.Sprintf("%.3f s", decided.seconds), met: met(decided.seconds <= most && decided.moves > 0),
		beside: decided.words(),
	})
	b.add(aim{
		what: of + ": relief of one host", aim: "<= 200 ms", measured: fmt.Sprintf("%.0f ms", relief.seconds*1000), met: met(relief.seconds <= reliefAim && relief.moves > 0),
		beside: relief.words(),
	})
	b.add(aim{
		what: of + ": the whole fleet, as an operator asks for it", aim: "-", measured: fmt.Sprintf("%.2f s", fleet.seconds), met: shown, beside: fleet.words(),
	})
	b.add(aim{
		what: of + ": memory", aim: "-", measured: fmt.Sprintf("%d MiB at most", peak/mib), met: shown,
		beside: fmt.Sprintf("%d MiB of it two States, the rest of making them up and planning", decided.heap/mib),
	})
	return nil
}

func (p planned) words() string {
	return fmt.Sprintf("%d moves of %d candidates, %.3f s of CPU, %d allocations of %.0f MiB", p.moves, p.candidates, p.cpu, p.allocations, float64(p.bytes)/mib)
}

// decide runs the command demand, and reads what it prints.
func (b *bench) decide(hosts, vms, moves int) (map[string]planned, int64, error) {
	d, err := b.ours("demand", "-hosts", fmt.Sprint(hosts), "-vms", fmt.Sprint(vms), "-moves", fmt.Sprint(moves))
	if err != nil {
		return nil, 0, err
	}
	runs := map[string]planned{}
	for line := range strings.Lines(d.out) {
		var name string
		var p planned
		_, err := fmt.Sscanf(line, "%s seconds %f cpu %f moves %d candidates %d allocations %d bytes %d heap %d", &name, &p.seconds, &p.cpu, &p.moves, &p.candidates, &p.allocations, &p.bytes, &p.heap)
		if err != nil {
			return nil, 0, fmt.Errorf("%q: %w", line, err)
		}
		runs[name] = p
	}
	return runs, d.peak, nil
}

// exponent is the power of x that y grows with: the slope of the line through
// their logarithms.
func exponent(x, y []float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for i := range x {
		lx, ly := math.Log(x[i]), math.Log(y[i])
		n, sx, sy, sxx, sxy = n+1, sx+lx, sy+ly, sxx+lx*lx, sxy+lx*ly
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
