package scheduler

import (
	"cmp"
	"fmt"
	"math"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The policy half-difference is the classic of US 7,203,944: when the load of
// one host exceeds that of another by a threshold, move the VM whose load is
// nearest half of the difference. Load is demand per capacity; a VM's is what
// it would be at the target. It stays as a baseline that demand must beat.

// mostLoaded is the known host of the highest load, if the least loaded one is
// lower by the threshold, and has been for as long as the profile asks.
func mostLoaded(f *fleet) ([]*host, *cluster.Refusal) {
	var most *host
	for _, h := range f.hosts {
		if h.unknown == nil && (most == nil || h.relative() > most.relative()) {
			most = h
		}
	}
	if most == nil {
		return nil, f.blind()
	}
	least := f.leastLoaded(most)
	if least == nil {
		return nil, no(cluster.CodeNoTarget, "%s is the only known hypervisor", most.name)
	}
	gap, lowest := most.relative()-least.relative(), f.lowest(most)-least.relative()
	switch enter := f.set.Enter.Float(); {
	case gap <= enter:
		return nil, no(cluster.CodeBelowThreshold, "loads differ by at most %s, threshold %v: %s has %s, %s has %s",
			percent(gap), f.set.Enter, most.name, percent(most.relative()), least.name, percent(least.relative()))
	case !most.state.Settled():
		return nil, no(cluster.CodeDisturbed, "%s is loaded most, but its window still carries a move", most.name)
	case lowest <= enter:
		return nil, no(cluster.CodeNotSustained, "loads of %s and %s differ by %s, but not for %v yet", most.name, least.name, percent(gap), f.set.Sustained())
	}
	return []*host{most}, nil
}

// isLoaded says how a host calls for relief.
func isLoaded(f *fleet, h *host) string {
	least := f.leastLoaded(h)
	return fmt.Sprintf("%s has a load of %s, %s of %s", h.name, percent(h.relative()), least.name, percent(least.relative()))
}

// isMostLoaded says why a host is not the one to relieve, or nil.
func isMostLoaded(f *fleet, h *host) *cluster.Refusal {
	sources, why := mostLoaded(f)
	if why != nil {
		return why
	}
	if most := sources[0]; most != h {
		return no(cluster.CodeBelowThreshold, "%s has a load of %s, %s is loaded most with %s", h.name, percent(h.relative()), most.name, percent(most.relative()))
	}
	return nil
}

// leastLoaded is the known host with the least load beside the source; of idle
// ones the largest.
func (f *fleet) leastLoaded(source *host) *host {
	var least *host
	for _, h := range f.hosts {
		if h == source || h.unknown != nil {
			continue
		}
		if least == nil || cmp.Or(cmp.Compare(h.relative(), least.relative()), cmp.Compare(least.cpus, h.cpus)) < 0 {
			least = h
		}
	}
	return least
}

// relative is the host's demand per capacity, its own work included: what a
// host does for itself is added to load, not taken off capacity. Two 16-CPU
// hosts, X with 9.6 of its own and 3.2 of VMs, Y with 9.6 of VMs: taken off
// capacity X would be at 50 % and Y at 60 %, and VMs would go to X, which is
// at 80 %.
func (h *host) relative() float64 { return h.work / h.cpus }

// at is the VM's load as it would be on a host.
func (v *vm) at(h *host) float64 { return v.work() / h.cpus }

// lowest is the least load that the host had within the time that an excess
// must last, as far back as the ring of its snapshots goes. A host that has
// not been seen for long enough had none.
func (f *fleet) lowest(h *host) float64 {
	since, lowest := f.state.Now.Add(-f.set.Sustained()), h.relative()
	for i := len(h.state.Beats) - 1; i >= 0; i-- {
		b := h.state.Beats[i]
		if b.At.Add(-b.Load.Window) < h.state.DisturbedAt {
			return 0
		}
		lowest = min(lowest, loadOf(b.Load))
		if b.At <= since || i == 0 && len(h.state.Beats) == cluster.MaxBeats {
			return lowest
		}
	}
	return 0
}

// loadOf is a snapshot's load as a whole.
func loadOf(l cluster.Load) float64 {
	sum := l.Overhead
	for _, v := range l.VMs {
		sum += v.Demand + v.Others
	}
	return sum.CPUs() / l.CPUs.CPUs()
}

// halveGap picks the VM of the source whose load is nearest half the
// difference to the least loaded host.
func halveGap(f *fleet, source *host, note *notes) (candidate, bool) {
	target := f.leastLoaded(source)
	half := (source.relative() - target.relative()) / 2
	return f.nearest(source, target, note, func(v *vm) float64 { return math.Abs(v.at(target) - half) })
}

// narrows refuses a VM that would not narrow the gap. One as large as the gap
// turns it round; on unlike hosts, one may leave a larger gap behind than it
// closes: 1 CPU of demand is 100 % of a host of 1 CPU and 25 % of one of 4.
func narrows(_ *fleet, c *candidate) *cluster.Refusal {
	gap := c.source.relative() - c.target.relative()
	after := math.Abs(gap - c.vm.at(c.source) - c.vm.at(c.target))
	switch {
	case c.vm.work() == 0:
		return no(cluster.CodeGapTooSmall, "%s is idle: moving it changes no load", c.vm.name)
	case c.vm.at(c.target) >= gap || after >= gap:
		return no(cluster.CodeGapTooSmall, "%s would leave a gap of %s where it is %s now between %s and %s",
			c.vm.name, percent(after), percent(gap), c.source.name, c.target.name)
	}
	return nil
}
