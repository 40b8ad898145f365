package scheduler

import (
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// share models how a host's CPUs are divided: processor sharing. Each vCPU
// gets what it demands or an equal share of what is there, whichever is less.
//
// Worked: one CPU, four VMs of one vCPU that never sleep. Each demands a whole
// CPU and gets a quarter: steal 75 %. With two of them gone the others get a
// half each: 50 %. Beside a neighbour that wants only 20 %, a hungry one gets
// 80 %: steal 20 %, the neighbour none.
//
// What a host does for itself, and the VMs' own emulator threads, is taken
// off first: no move of a vCPU changes its priority.
type share struct {
	level float64 // CPUs that a vCPU can get at most; 1 or more means no contention
	mean  float64 // steal over all vCPUs
	worst float64 // steal of the worst vCPU
}

// load is one VM's weight in a share.
type load struct {
	vcpus   int
	perVCPU float64 // CPUs demanded per vCPU, 0..1
	others  float64 // CPUs of its other threads
}

// divide shares the CPUs of a host between loads.
func divide(cpus, overhead float64, loads []load) share {
	left, vcpus := cpus-overhead, 0
	for _, l := range loads {
		left -= l.others
		vcpus += l.vcpus
	}
	left = max(left, 0)
	s := share{level: waterLevel(left, vcpus, loads)}
	if vcpus == 0 {
		return s
	}
	var sum float64
	for _, l := range loads {
		steal := s.steal(l.perVCPU)
		sum += float64(steal * float64(l.vcpus))
		s.worst = max(s.worst, steal)
	}
	s.mean = sum / float64(vcpus)
	return s
}

// waterLevel is the level at which Σ min(demand, level) uses up what is left:
// small demands are served whole, and the rest share what remains.
func waterLevel(left float64, vcpus int, loads []load) float64 {
	sorted := slices.Clone(loads)
	slices.SortFunc(sorted, func(a, b load) int {
		switch {
		case a.perVCPU < b.perVCPU:
			return -1
		case a.perVCPU > b.perVCPU:
			return 1
		}
		return a.vcpus - b.vcpus
	})
	for _, l := range sorted {
		if l.vcpus == 0 {
			continue
		}
		if level := left / float64(vcpus); level < l.perVCPU {
			return level
		}
		left -= float64(l.perVCPU * float64(l.vcpus))
		vcpus -= l.vcpus
	}
	return 1
}

// steal is what a vCPU of some demand waits, as a share of wall time.
func (s share) steal(perVCPU float64) float64 { return max(perVCPU-s.level, 0) }

// pain is the figure that thresholds look at, see cluster.Pain.
func (s share) pain() float64 { return max(s.mean, s.worst/2) }

// pain is the VM's measured pain.
func (v *vm) pain() cluster.Ratio { return cluster.Pain(v.load.Steal, v.load.StealMax) }
