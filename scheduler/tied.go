package scheduler

import (
	"cmp"
	"math"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// tie finds out what each vCPU of the host's VMs can get at most of the CPUs that
// it is tied to, see share.go. Small sets come first: what their VMs can get there
// is all that they ask of the larger sets around them.
func (h *host) tie() {
	var sets []cluster.CPUSet
	for _, v := range h.vms {
		v.reach = 1
		if v.tiedTo() != "" {
			sets = append(sets, v.tiedTo())
		}
	}
	slices.SortFunc(sets, func(a, b cluster.CPUSet) int { return cmp.Or(cmp.Compare(a.Count(), b.Count()), cmp.Compare(a, b)) })
	for _, set := range slices.Compact(sets) {
		var inside []*vm
		for _, v := range h.vms {
			if v.tiedTo() != "" && v.tiedTo().Within(set) {
				inside = append(inside, v)
			}
		}
		level := levelOf(inside, min(float64(set.Count()), h.cpus))
		for _, v := range inside {
			v.reach = min(v.reach, float64(v.shares*level))
		}
	}
}

// tiedTo are the CPUs that a VM is tied to, "" if it is free or nothing is known.
func (v *vm) tiedTo() cluster.CPUSet {
	if v.need == nil {
		return ""
	}
	return v.need.CPUs
}

// levelOf is the level at which VMs use up CPUs that nobody else uses, infinite if
// they do not.
func levelOf(vms []*vm, free float64) float64 {
	slices.SortFunc(vms, byDemand)
	shares := 0.0
	for _, v := range vms {
		shares += v.allShares()
	}
	for _, v := range vms {
		if level := free / shares; level < v.calls() {
			return level
		}
		free = max(free-float64(v.asks()*float64(v.vcpus)), 0)
		shares -= v.allShares()
	}
	return math.Inf(1)
}
