package scheduler

import (
	"math"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// halfDifference is the classic of US 7,203,944: between the suffering host
// and the least loaded one, move the VM whose load is nearest half of the
// difference. Load is demand per capacity; a VM's is what it would be at the
// target. It is kept as a baseline that the policy demand must beat.
func halfDifference(f *fleet, source *host, note *notes) (choice, bool) {
	if r := f.open(); r != nil {
		note.refuse("", source.id, "", r, 0)
		return choice{}, false
	}
	target := f.leastLoaded(source)
	if target == nil {
		note.refuse("", source.id, "", no(cluster.CodeNoTarget, "there is no other known hypervisor"), 0)
		return choice{}, false
	}
	gap := source.relative() - target.relative()
	var best *vm
	for _, v := range source.vms {
		r := f.mayMove(source, v)
		if r == nil {
			r = f.mayGo(v, target)
		}
		if r == nil {
			r = narrows(source, target, v, gap)
		}
		if r != nil {
			note.refuse(v.uuid, source.id, target.id, r, 0)
			continue
		}
		if best == nil || nearer(v, best, target, gap) {
			best = v
		}
	}
	if best == nil {
		return choice{}, false
	}
	c := choice{
		vm: best, source: source, target: target, sourceNow: source.share(nil, nil), targetNow: target.share(nil, nil),
		sourceAfter: source.share(nil, best), targetAfter: target.share(best, nil),
	}
	c.before, c.after = max(c.sourceNow.pain(), c.targetNow.pain()), max(c.sourceAfter.pain(), c.targetAfter.pain())
	return c, true
}

// leastLoaded is the known host with the least relative load beside the source.
func (f *fleet) leastLoaded(source *host) *host {
	var least *host
	for _, h := range f.hosts {
		if h != source && h.unknown == nil && (least == nil || h.relative() < least.relative()) {
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
func (h *host) relative() float64 {
	sum := h.load.Overhead.CPUs()
	for _, v := range h.vms {
		sum += v.demand + v.load.Others.CPUs()
	}
	return sum / h.load.CPUs.CPUs()
}

// at is the VM's load as it would be on a host.
func (v *vm) at(h *host) float64 { return (v.demand + v.load.Others.CPUs()) / h.load.CPUs.CPUs() }

// narrows refuses a VM that would not narrow the gap: one as large as the gap
// only turns it round.
func narrows(source, target *host, v *vm, gap float64) *cluster.Refusal {
	after := math.Abs(gap - v.at(source) - v.at(target))
	if v.at(target) >= gap || after >= gap {
		return no(cluster.CodeGapTooSmall, "its load of %s is not below the gap of %s between %s and %s", percent(v.at(target)), percent(gap), source.name, target.name)
	}
	return nil
}

// nearer says whether v's load is nearer half the gap than w's; ties go by id.
func nearer(v, w *vm, target *host, gap float64) bool {
	dv, dw := math.Abs(v.at(target)-gap/2), math.Abs(w.at(target)-gap/2)
	return dv < dw || dv == dw && v.uuid < w.uuid
}
