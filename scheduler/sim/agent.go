package sim

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// window is what a snapshot's figures span; beats come at 1 s while a host
// suffers, and at 5 s otherwise. Where a tick is a second they come once
// in a window.
const (
	window    = 10 * time.Second
	fastBeat  = time.Second
	quietBeat = 5 * time.Second
	youngest  = time.Second // a VM is measured once it has been there this long
)

// agent is a machine's evenkeeld: it measures, and speaks unless it is silent.
type agent struct {
	silentUntil time.Duration
	next        time.Duration // when it publishes next
	sequence    uint64
	revision    uint64 // of its inventory
	sent        uint64 // the revision that was published last
}

// publish makes a snapshot of the machine, if one is due.
func (m *machine) publish(now time.Duration, at cluster.Time, set cluster.Settings) (cluster.Snapshot, bool) {
	if now < m.agent.silentUntil || now < m.agent.next {
		return cluster.Snapshot{}, false
	}
	m.agent.sequence++
	load := m.measure(now)
	m.pain = load.Pain()
	load.TakenAt, load.Inventory, load.NextIn = at, m.agent.revision, quietBeat
	switch {
	case m.tick == time.Second:
		load.NextIn = window
	case m.pain > set.Enter:
		load.NextIn = fastBeat
	}
	m.agent.next = now + load.NextIn
	s := cluster.Snapshot{Host: m.id, Incarnation: 1, Sequence: m.agent.sequence, Load: load}
	if m.agent.sent != m.agent.revision {
		m.agent.sent = m.agent.revision
		s.Inventory, s.Details = m.inventory(), m.details()
	}
	return s, true
}

func (m *machine) inventory() *cluster.Inventory {
	inv := &cluster.Inventory{Revision: m.agent.revision}
	for _, g := range m.guests {
		inv.VMs = append(inv.VMs, cluster.VM{
			Slot: g.slot, UUID: g.id, Name: g.Name, VCPUs: g.VCPUs, MaxMemory: g.Memory, Run: cluster.RunRunning, Lock: cluster.LockLockable,
		})
	}
	return inv
}

// details are the shares of the VMs, nil if nobody has others than the usual.
func (m *machine) details() *cluster.Details {
	d := &cluster.Details{Window: window, Inventory: m.agent.revision}
	for _, g := range m.guests {
		if g.Shares != 0 {
			d.VMs = append(d.VMs, cluster.Detail{Slot: g.slot, Shares: g.Shares})
		}
	}
	if d.VMs == nil {
		return nil
	}
	return d
}

// measure is the machine's load over the window.
func (m *machine) measure(now time.Duration) cluster.Load {
	load := cluster.Load{
		Window: window, Source: cluster.SourceEBPF, CPUs: m.CPUs, Overhead: m.Overhead, Use: m.Overhead, Memory: m.Memory,
	}
	var waited, there time.Duration // of all vCPUs
	for _, g := range m.guests {
		span, c := g.since(now)
		if span < youngest {
			continue
		}
		steal := ratioOf(c.wait, span)
		load.VMs = append(load.VMs, cluster.VMLoad{
			Slot: g.slot, Run: cpus(c.run, span, g.VCPUs), Wait: cpus(c.wait, span, g.VCPUs),
			Demand: cpus(cluster.Demand(c.run, c.wait, span-c.run-c.wait), span, g.VCPUs), Steal: steal, StealMax: steal,
			Contention: steal, ContentionMax: steal, // nobody has a quota or waits for himself
		})
		load.Use += cpus(c.run, span, g.VCPUs)
		load.StealMax = max(load.StealMax, steal)
		waited += c.wait * time.Duration(g.VCPUs)
		there += span * time.Duration(g.VCPUs)
	}
	load.Steal = ratioOf(waited, there)
	load.Contention, load.ContentionMax = load.Steal, load.StealMax
	return load
}

// since is what a vCPU of the guest ran and waited within the window, as far
// as the guest was on its host.
func (g *guest) since(now time.Duration) (time.Duration, counters) {
	span := min(window, now-g.arrived, now)
	old := g.past[int((now-span)/g.home.tick)%len(g.past)]
	return span, counters{g.run - old.run, g.wait - old.wait}
}

// remember keeps the counters as they are now.
func (g *guest) remember(now, tick time.Duration) { g.past[int(now/tick)%len(g.past)] = g.counters }

func ratioOf(part, whole time.Duration) cluster.Ratio {
	if whole <= 0 {
		return 0
	}
	return min(cluster.Ratio(int64(part/time.Microsecond)*int64(cluster.Whole)/int64(whole/time.Microsecond)), cluster.Whole)
}

func cpus(t, span time.Duration, vcpus int) cluster.MilliCPU {
	return cluster.MilliCPU(int64(t/time.Microsecond) * int64(vcpus) * 1000 / int64(span/time.Microsecond))
}
