package scheduler_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// hasDark says that a host's own use counts, which reckoning by demands leaves
// out.
func (h *host) hasDark() bool { return slices.ContainsFunc(h.vms, func(v *vm) bool { return v.dark }) }

// filled is the share of the host's memory that its VMs take.
func (h *host) filled() float64 {
	var sum cluster.Bytes
	for _, v := range h.vms {
		sum += v.MaxMemory + cluster.VMOverhead
	}
	return float64(sum) / float64(h.memory)
}

// weighed is how much more load a host has than another, as that one weighs.
func weighed(from, to *host) float64 {
	cpu, memory := to.load(), to.filled()
	sum := cpu + memory
	if sum == 0 {
		cpu, memory, sum = 1, 1, 2
	}
	return (cpu*(from.load()-to.load()) + memory*(from.filled()-to.filled())) / sum
}

// weighedAfter is the same once a VM has moved between them, by the weights of
// before.
func weighedAfter(v *vm, from, to *host) float64 {
	cpu, memory := to.load(), to.filled()
	sum := cpu + memory
	if sum == 0 {
		cpu, memory, sum = 1, 1, 2
	}
	bytes, demand := float64(v.MaxMemory+cluster.VMOverhead), float64(v.demand)
	return weighed(from, to) - cpu/sum*(demand/float64(from.cpus)+demand/float64(to.cpus)) - memory/sum*(bytes/float64(from.memory)+bytes/float64(to.memory))
}

// weighedThere is a VM's load on the host that it would come to.
func weighedThere(v *vm, to *host) float64 {
	cpu, memory := to.load(), to.filled()
	sum := cpu + memory
	if sum == 0 {
		cpu, memory, sum = 1, 1, 2
	}
	return (cpu*float64(v.demand)/float64(to.cpus) + memory*float64(v.MaxMemory+cluster.VMOverhead)/float64(to.memory)) / sum
}

// A host meets one other at most, the one with more load gives, and their
// difference never widens, told by another reckoning than the planner's.
func TestLawPairwise(t *testing.T) {
	forAllFleets(t, []string{"pairwise-random"}, func(t *rapid.T, s spec, f *fleet) {
		met := map[string]string{}
		for i, m := range f.plan().Moves {
			if a, b := met[m.Source], met[m.Target]; a != "" && a != m.Target || b != "" && b != m.Source {
				t.Fatalf("step %d: %s meets two", i, m.Reason)
			}
			again := met[m.Source] != "" // memory counts on both ends by now
			met[m.Source], met[m.Target] = m.Target, m.Source
			from, v := f.find(m.VMName)
			to := f.host(f.nameOf(m.Target))
			if from.hasDark() || to.hasDark() || again {
				return
			}
			before, after := weighed(from, to), weighedAfter(v, from, to)
			if before <= s.set.Enter.Float()-1e-9 || math.Abs(after) >= before+1e-9 {
				t.Fatalf("step %d, %s to %s: a difference of %.4f -> %.4f", i, v.Name, to.name, before, after)
			}
			f.shift(v, from, to)
		}
	})
}

// Lots are drawn by the seed: other seeds let other hosts meet, and the same
// seed the same.
func TestPairwiseIsSeeded(t *testing.T) {
	s := spec{policy: "pairwise-random", set: cluster.DefaultSettings()}
	s.set.Policy, s.set.Profile, s.set.WarmUp = s.policy, cluster.ProfileFast, 0
	for i := range 6 {
		name := string(rune('a' + i))
		s.hosts = append(s.hosts, hostSpec{name: name, cpus: 4000, memory: 64 * cluster.GiB})
		for range i {
			s.vms = append(s.vms, vmSpec{
				name: name + string(rune('0'+len(s.vms))), on: name, vcpus: 1, demand: 700, memory: cluster.GiB,
				lock: cluster.LockLockable, run: cluster.RunRunning,
			})
		}
	}
	f := s.build(t)
	targets := map[string]int{}
	for seed := range uint64(40) {
		in := scheduler.Input{State: f.state, Now: f.state.Now.Std(), Seed: seed}
		r, again := scheduler.Plan(in), scheduler.Plan(in)
		if len(r.Moves) == 0 || !reflect.DeepEqual(r.Moves[0], again.Moves[0]) {
			t.Fatalf("seed %d: %s; again %+v", seed, r.Text, again.Moves)
		}
		targets[f.nameOf(r.Moves[0].Target)]++
	}
	if len(targets) < 3 {
		t.Errorf("40 seeds let VMs go to %v only", targets)
	}
}

// A host above the threshold gives to the least loaded one, which stays
// below; and it gives the smallest VM that is enough.
func TestLawThreshold(t *testing.T) {
	forAllFleets(t, []string{"threshold"}, func(t *rapid.T, s spec, f *fleet) {
		r := f.plan()
		if len(r.Moves) == 0 {
			return
		}
		from, picked := f.find(r.Moves[0].VMName)
		to := f.host(f.nameOf(r.Moves[0].Target))
		if from.hasDark() || slices.ContainsFunc(f.hosts, (*host).hasDark) {
			return
		}
		most := 1 - s.set.Enter.Float()
		at := func(v *vm, h *host) float64 { return float64(v.demand) / float64(h.cpus) }
		if from.load() <= most-1e-9 || to.load()+at(picked, to) > most+1e-9 {
			t.Fatalf("%s from %.3f to %.3f", picked.Name, from.load(), to.load()+at(picked, to))
		}
		for _, h := range f.hosts {
			if !h.silent && h != from && h.load() < to.load()-1e-9 {
				t.Fatalf("it went to %s (%.3f), and %s has %.3f", to.name, to.load(), h.name, h.load())
			}
		}
		enough := func(v *vm) bool { return from.load()-at(v, from) <= most }
		for _, v := range from.vms {
			better := enough(v) && (!enough(picked) || v.demand < picked.demand) || !enough(picked) && v.demand > picked.demand
			if better && !slices.ContainsFunc(r.Refused, func(c cluster.Candidate) bool { return c.VM == v.UUID }) {
				t.Fatalf("%s (%v) is better than %s (%v) and was not refused", v.Name, v.demand, picked.Name, picked.demand)
			}
		}
	})
}
