package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fleet is the State as the planner looks at it: hosts with their VMs, and
// what the plan's own steps have changed so far.
type fleet struct {
	state  cluster.State
	set    cluster.Settings
	policy string
	now    cluster.Time
	hosts  []*host // sorted by id
	steps  int     // of this plan
}

// host is a hypervisor.
type host struct {
	id, name string
	member   cluster.Member
	state    cluster.Host
	load     cluster.Load
	unknown  *cluster.Refusal // why nothing may be concluded about it, nil if it is known
	pain     cluster.Ratio    // as measured
	vms      []*vm            // sorted by UUID; those with figures, in or outgoing ones included
	dark     []cluster.VM     // VMs without figures: unknown, not idle
	inFlight int
	memory   cluster.Bytes // charged: VMs, live moves, this plan's steps
}

// vm is a VM with figures.
type vm struct {
	uuid, name string
	facts      cluster.VM
	load       cluster.VMLoad
	demand     float64 // CPUs
	perVCPU    float64 // demand per vCPU, at most 1
}

// maxBookError is how far a host's measured waits may be off the kernel's own
// before nothing is concluded from them.
const maxBookError = cluster.Ratio(50_000) // 5 %

func newFleet(in Input) *fleet {
	f := &fleet{state: in.State, set: in.State.Settings, policy: in.Policy, now: max(cluster.TimeOf(in.Now), in.State.Now)}
	if f.policy == "" {
		f.policy = f.set.Policy
	}
	for id, h := range in.State.Hosts() {
		f.hosts = append(f.hosts, f.newHost(id, h))
	}
	f.charge()
	return f
}

func (f *fleet) newHost(id string, s cluster.Host) *host {
	m, _ := f.state.Member(id)
	h := &host{id: id, name: m.Name, member: m, state: s, memory: f.state.MemoryUse(id)}
	beat, ok := s.Last()
	if ok {
		h.load = beat.Load
	}
	h.pain = cluster.Pain(h.load.Steal, h.load.StealMax)
	h.inFlight, _ = f.state.InFlight(id)
	h.unknown = f.unknown(h, ok)
	for _, facts := range s.Inventory.VMs {
		if facts.Incoming {
			continue // charged by its move, or lives elsewhere
		}
		l, measured := h.load.VM(facts.Slot)
		if !measured || h.load.Inventory != s.Inventory.Revision || facts.VCPUs < 1 {
			h.dark = append(h.dark, facts)
			continue
		}
		h.vms = append(h.vms, newVM(facts, l))
	}
	slices.SortFunc(h.vms, byUUID)
	return h
}

func byUUID(a, b *vm) int { return cmp.Compare(a.uuid, b.uuid) }

func newVM(facts cluster.VM, l cluster.VMLoad) *vm {
	v := &vm{uuid: facts.UUID, name: facts.Name, facts: facts, load: l, demand: l.Demand.CPUs()}
	v.perVCPU = min(v.demand/float64(facts.VCPUs), 1)
	return v
}

// unknown says why nothing may be concluded about a host, or nil.
func (f *fleet) unknown(h *host, hasBeat bool) *cluster.Refusal {
	switch {
	case !hasBeat:
		return &cluster.Refusal{Code: cluster.CodeStaleSnapshot, Text: "no load snapshot yet"}
	case !h.state.Fresh(f.now):
		beat, _ := h.state.Last()
		return &cluster.Refusal{Code: cluster.CodeStaleSnapshot, Text: fmt.Sprintf("newest snapshot is %v old", f.now.Sub(beat.At).Round(time.Second))}
	case h.load.Source == cluster.SourceNone:
		return &cluster.Refusal{Code: cluster.CodePoorQuality, Text: "it cannot measure its VMs"}
	case h.load.BookError > maxBookError:
		return &cluster.Refusal{Code: cluster.CodePoorQuality, Text: fmt.Sprintf("its waits are %v off the kernel's own sums", h.load.BookError)}
	}
	return nil
}

// charge adds the VMs of live moves to the hosts that they are on the way to:
// until the outcome is known a VM weighs on both ends.
func (f *fleet) charge() {
	for m := range f.state.Live() {
		source, target := f.host(m.Source), f.host(m.Target)
		if source == nil || target == nil {
			continue
		}
		i := slices.IndexFunc(source.vms, func(v *vm) bool { return v.uuid == m.VM })
		if i >= 0 && !slices.ContainsFunc(target.vms, func(v *vm) bool { return v.uuid == m.VM }) {
			target.vms = append(target.vms, source.vms[i])
		}
	}
}

func (f *fleet) host(id string) *host {
	i, ok := slices.BinarySearchFunc(f.hosts, id, func(h *host, id string) int { return cmp.Compare(h.id, id) })
	if !ok {
		return nil
	}
	return f.hosts[i]
}

// share models the host with one VM more or less; either may be nil.
func (h *host) share(with, without *vm) share {
	loads := make([]load, 0, len(h.vms)+1)
	for _, v := range h.vms {
		if v != without {
			loads = append(loads, v.weight())
		}
	}
	if with != nil {
		loads = append(loads, with.weight())
	}
	return divide(h.load.CPUs.CPUs(), h.load.Overhead.CPUs(), loads)
}

func (v *vm) weight() load { return load{v.facts.VCPUs, v.perVCPU, v.load.Others.CPUs()} }

// suffering lists the hosts that have suffered long enough, worst first; if
// there are none it says why.
func (f *fleet) suffering() ([]*host, cluster.Refusal) {
	var out []*host
	why := cluster.Refusal{Code: cluster.CodeBelowThreshold, Text: fmt.Sprintf("no known host suffers more than %v", f.set.Enter)}
	var worst cluster.Ratio = -1
	known := 0
	for _, h := range f.hosts {
		if h.unknown != nil {
			continue
		}
		known++
		if h.state.Excess >= f.set.Sustained() && h.pain >= f.set.Exit && h.state.Settled() {
			out = append(out, h)
			continue
		}
		if h.pain > f.set.Enter && h.pain > worst {
			worst, why = h.pain, f.notYet(h)
		}
	}
	if known == 0 && len(f.hosts) > 0 {
		why = cluster.Refusal{Code: cluster.CodeStaleSnapshot, Text: "no host has a fresh load snapshot"}
	}
	slices.SortStableFunc(out, func(a, b *host) int { return cmp.Compare(b.pain, a.pain) })
	return out, why
}

func (f *fleet) notYet(h *host) cluster.Refusal {
	if !h.state.Settled() {
		return cluster.Refusal{Code: cluster.CodeDisturbed, Text: fmt.Sprintf("%s suffers %v, but its window still carries a move", h.name, h.pain)}
	}
	return cluster.Refusal{Code: cluster.CodeNotSustained, Text: fmt.Sprintf("%s suffers %v > %v, held %v of %v (profile %s)",
		h.name, h.pain, f.set.Enter, h.state.Excess.Round(time.Second), f.set.Sustained(), f.set.Profile)}
}

// commit changes the fleet as if the choice were under way.
func (f *fleet) commit(c choice) {
	f.steps++
	c.source.inFlight++
	c.target.inFlight++
	c.target.memory += c.vm.facts.MaxMemory + cluster.VMOverhead
	c.target.vms = append(c.target.vms, c.vm)
	c.source.vms = slices.DeleteFunc(slices.Clone(c.source.vms), func(v *vm) bool { return v == c.vm })
}
