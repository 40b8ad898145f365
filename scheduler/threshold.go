package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The policy threshold is what schedulers of the kind of DRS do: it looks at
// how busy hosts are, not at who waits. A host whose load is above the
// threshold sheds VMs to the least loaded host: the smallest that brings it
// below, or the largest if none does. It is a baseline that demand must beat.
//
// The threshold is a share of the CPUs that shall be kept free, and enter says
// how large: with 10 % a host of 4 CPUs sheds what is asked for above 3.6.

// most is the load above which a host sheds.
func (f *fleet) most() float64 { return (cluster.Whole - f.set.Enter).Float() }

// tooBusy lists the hosts that have been above the threshold for as long as
// the profile asks, most loaded first; if there are none it says why.
func tooBusy(f *fleet) ([]*host, *cluster.Refusal) {
	var out []*host
	var busiest *host
	for _, h := range f.hosts {
		if h.unknown != nil {
			continue
		}
		if isTooBusy(f, h) == nil {
			out = append(out, h)
		}
		if busiest == nil || h.relative() > busiest.relative() {
			busiest = h
		}
	}
	switch {
	case busiest == nil:
		return nil, f.blind()
	case len(out) == 0:
		return nil, isTooBusy(f, busiest)
	case f.leastLoaded(busiest) == nil:
		return nil, no(cluster.CodeNoTarget, "%s is the only known hypervisor", busiest.name)
	}
	slices.SortStableFunc(out, func(a, b *host) int { return cmp.Compare(b.relative(), a.relative()) })
	return out, nil
}

// isBusy says how a host calls for relief.
func isBusy(f *fleet, h *host) string {
	return fmt.Sprintf("%s has a load of %s, threshold %s", h.name, percent(h.relative()), percent(f.most()))
}

// isTooBusy says why a known host does not call for relief, or nil if it does.
func isTooBusy(f *fleet, h *host) *cluster.Refusal {
	switch {
	case h.relative() <= f.most():
		return no(cluster.CodeBelowThreshold, "%s has a load of %s, threshold %s", h.name, percent(h.relative()), percent(f.most()))
	case !h.state.Settled():
		return no(cluster.CodeDisturbed, "%s has a load of %s, but its window still carries a move", h.name, percent(h.relative()))
	case f.lowest(h) <= f.most():
		return no(cluster.CodeNotSustained, "%s has a load of %s, but has not been above %s for %v yet",
			h.name, percent(h.relative()), percent(f.most()), f.set.Sustained())
	}
	return nil
}

// shed picks the VM that leaves for the least loaded host.
func shed(f *fleet, source *host, note *notes) (candidate, bool) {
	if source.relative() <= f.most() {
		return candidate{}, false // this plan's own steps were enough
	}
	target := f.leastLoaded(source)
	excess := (source.relative() - f.most()) * source.cpus
	return f.nearest(source, target, note, func(v *vm) float64 {
		if work := v.work(); work < excess {
			return target.cpus + source.cpus + excess - work // behind all that are enough, the largest first
		}
		return v.work() - excess
	})
}

// nearest picks the lawful move to a target whose distance from the ideal is
// least.
func (f *fleet) nearest(source, target *host, note *notes, distance func(*vm) float64) (candidate, bool) {
	for _, v := range source.dark {
		note.refuse(candidate{source: source}, v.UUID, unmeasured(v))
	}
	p, _ := policyOf(f.policy)
	var lawful []candidate
	for _, v := range source.vms {
		c := f.weigh(source, v, source.outlook(nil, v, 0), target)
		c.score = int64(math.Round(distance(v) * 1e9)) // nearest, not best
		r := f.mayMove(source, v)
		if r == nil {
			r = f.mayGo(v, target)
		}
		if r == nil {
			r = p.worth(f, &c)
		}
		if r == nil {
			r = f.fits(&c)
		}
		if r != nil {
			note.refuse(c, v.uuid, r)
			continue
		}
		lawful = append(lawful, c)
	}
	if best := f.bestKept(lawful, note); best != nil {
		return *best, true
	}
	return candidate{}, false
}

// unloads refuses a VM that would carry the excess to another host.
func unloads(f *fleet, c *candidate) *cluster.Refusal {
	after := c.target.relative() + c.vm.at(c.target)
	switch {
	case c.vm.work() == 0:
		return no(cluster.CodeWouldNotHelp, "%s is idle: moving it changes no load", c.vm.name)
	case after > f.most():
		return no(cluster.CodeWouldNotHelp, "%s would bring %s to a load of %s, threshold %s", c.vm.name, c.target.name, percent(after), percent(f.most()))
	}
	return nil
}
