package whatif

import (
	"cmp"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// measure gives the lane the snapshots that the record took: as they are where
// the lane's hosts have the same VMs, modelled where they have not.
func (l *lane) measure(r *Run, e Entry, beats []beat) {
	var batch []cluster.Snapshot
	for _, b := range beats {
		s, modelled, ok := l.snapshot(r, b)
		if !ok {
			continue
		}
		batch = append(batch, s)
		b.last.Load = s.Load
		l.beat(b.id, b.last, r.rec.Settings, modelled)
	}
	c := e.Command
	c.ID, c.Body = "", cluster.Snapshots{Batch: batch}
	// A snapshot on its own may be refused; the command never is.
	l.state, _ = l.state.Apply(cluster.Meta{Index: l.state.Index + 1, Term: e.Meta.Term}, c)
}

// snapshot is what a host would have published in the lane.
func (l *lane) snapshot(r *Run, b beat) (s cluster.Snapshot, modelled, ok bool) {
	own, known := l.state.Host(b.id)
	member, _ := l.state.Member(b.id)
	if !known || member.Incarnation != b.member.Incarnation {
		return s, false, false // it was removed in the lane, or not yet announced
	}
	s = cluster.Snapshot{Host: b.id, Incarnation: member.Incarnation, Sequence: own.Seq + 1, Load: b.last.Load}
	apart := l.apart(r.past, b)
	if !apart && !touched(r.rec, b.host) {
		if own.Inventory.Revision != b.host.Inventory.Revision {
			s.Inventory = &b.host.Inventory
		}
		if b.details {
			s.Details = b.host.Details
		}
		return s, false, true
	}
	guests := l.guests(r, b)
	inv := cluster.Inventory{Revision: own.Inventory.Revision, VMs: facts(guests)}
	if own.Inventory.Revision < madeUp || !slices.Equal(own.Inventory.VMs, inv.VMs) {
		l.made++
		inv.Revision = madeUp + l.made
		s.Inventory = &inv
	}
	if apart {
		s.Load = share(s.Load, guests)
	} else {
		s.Load.VMs = figures(guests)
	}
	s.Load.Inventory = inv.Revision
	return s, apart, true
}

// madeUp is where revisions of inventories begin that are the lane's own. A
// host's rise from 1 by less than one a nanosecond.
const madeUp = uint64(1) << 62

// apart says whether a host's VMs are others in the lane than its snapshot says.
func (l *lane) apart(p *past, b beat) bool {
	came := 0
	for _, at := range l.away {
		if at == b.id {
			came++
		}
	}
	for _, vm := range b.host.Inventory.VMs {
		switch at, elsewhere := l.away[vm.UUID]; {
		case vm.Incoming:
		case elsewhere && at == b.id:
			came-- // it has come in the record too, or not left yet
		case elsewhere, p.on[vm.UUID] != b.id:
			return true
		}
	}
	return came > 0
}

// touched says whether a host's inventory shows a move of the record's.
func touched(rec cluster.State, h cluster.Host) bool {
	return slices.ContainsFunc(h.Inventory.VMs, func(vm cluster.VM) bool {
		return (vm.Incoming || vm.Migrating) && carried(rec, vm.UUID)
	})
}

// guest is a VM on a host of the lane.
type guest struct {
	facts    cluster.VM
	load     cluster.VMLoad
	shares   cluster.Shares
	measured bool
}

// guests are the VMs of a host in the lane, sorted by slot: those that it has
// in the record, less those that are elsewhere, and those that came. What the
// record knows of a VM's demand, wherever it was, is its demand here.
func (l *lane) guests(r *Run, b beat) []guest {
	var out []guest
	taken := map[uint32]bool{}
	for _, vm := range b.host.Inventory.VMs {
		taken[vm.Slot] = true
		at, apart := l.away[vm.UUID]
		here := apart && at == b.id || !apart && (vm.Incoming || r.past.on[vm.UUID] == b.id)
		if !here || vm.Incoming && carried(r.rec, vm.UUID) {
			continue
		}
		g := guest{facts: vm, shares: b.host.SharesOf(vm.Slot)}
		if carried(r.rec, vm.UUID) {
			g.facts.Migrating = false
		}
		g.load, g.measured = b.last.Load.VM(vm.Slot)
		out = append(out, g)
	}
	var came []string
	for vm, at := range l.away {
		if at == b.id && !slices.ContainsFunc(out, func(g guest) bool { return g.facts.UUID == vm }) {
			came = append(came, vm)
		}
	}
	slices.Sort(came)
	slot := uint32(cluster.MaxSlot)
	for _, vm := range came {
		for slot--; taken[slot]; slot-- { //nolint:revive // looks for a free one
		}
		out = append(out, r.past.guest(vm, slot, b.last.At))
	}
	slices.SortFunc(out, func(a, b guest) int { return cmp.Compare(a.facts.Slot, b.facts.Slot) })
	return out
}

// guest is a VM that is elsewhere in the record. Figures that are older than a
// host may be silent are none.
func (p *past) guest(vm string, slot uint32, now cluster.Time) guest {
	v := p.seen[vm]
	g := guest{facts: v.facts, load: v.load, shares: v.shares, measured: v.at != 0 && now.Sub(v.at) <= cluster.MaxSilence}
	g.facts.Slot, g.load.Slot, g.facts.Migrating = slot, slot, false
	return g
}

func facts(guests []guest) []cluster.VM {
	out := make([]cluster.VM, len(guests))
	for i, g := range guests {
		out[i] = g.facts
	}
	return out
}

func figures(guests []guest) []cluster.VMLoad {
	var out []cluster.VMLoad
	for _, g := range guests {
		if g.measured {
			out = append(out, g.load)
		}
	}
	return out
}

// share makes a host's load of the demands of other VMs than it had: the CPUs
// that its own tasks leave, shared out by sim.Share. A VM keeps the waits that
// are its own doing. Of what the model does not know (latencies, pressure)
// nothing is said.
func share(load cluster.Load, guests []guest) cluster.Load {
	load.VMs, load.Pressure = nil, nil
	load.Use = load.Overhead
	room := load.CPUs - load.Overhead
	var claims []sim.Claim
	var there []guest
	for _, g := range guests {
		if g.measured && g.facts.VCPUs > 0 {
			there = append(there, g)
			claims = append(claims, sim.Claim{VCPUs: g.facts.VCPUs, CPU: g.load.Demand, Shares: g.shares})
			room -= g.load.Others
			load.Use += g.load.Others
		}
	}
	var steal, contention mean
	load.StealMax, load.ContentionMax = 0, 0
	for i, part := range sim.Share(room, claims) {
		v := modelled(there[i], part)
		load.VMs = append(load.VMs, v)
		load.Use += v.Run
		steal.add(v.Steal, there[i].facts.VCPUs)
		load.StealMax = max(load.StealMax, v.StealMax)
		if !v.Settling {
			contention.add(v.Contention, there[i].facts.VCPUs)
			load.ContentionMax = max(load.ContentionMax, v.ContentionMax)
		}
	}
	load.Steal, load.Contention = steal.value(), contention.value()
	return load
}

// modelled are a VM's figures with the part that it got.
func modelled(g guest, part sim.Part) cluster.VMLoad {
	vcpus := cluster.MilliCPU(g.facts.VCPUs)
	own := max(g.load.Steal-g.load.Contention, 0)
	contention := min(cluster.Ratio(int64(part.Wait)*1000/int64(vcpus)), cluster.Whole)
	steal := min(contention+own, cluster.Whole)
	return cluster.VMLoad{
		Slot: g.facts.Slot, Settling: g.load.Settling, Poller: g.load.Poller,
		Run: part.Run, Wait: cluster.MilliCPU(int64(steal) * int64(vcpus) / 1000), Others: g.load.Others, Demand: g.load.Demand,
		Steal: steal, StealMax: steal, Contention: contention, ContentionMax: contention,
	}
}

// mean is a mean over vCPUs.
type mean struct{ sum, weight int64 }

func (m *mean) add(r cluster.Ratio, vcpus int) {
	m.sum += int64(r) * int64(vcpus)
	m.weight += int64(vcpus)
}

func (m *mean) value() cluster.Ratio {
	if m.weight == 0 {
		return 0
	}
	return cluster.Ratio(m.sum / m.weight)
}
