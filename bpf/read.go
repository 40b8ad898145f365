package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Read brings all counters up to date. The completed parts come from mapped
// memory; what has not ended takes one pass over the kernel's tasks. Culprits
// are not listed.
func (p *Probes) Read() (Reading, error) { return p.readAll(false) }

// ReadCulprits is Read with each VM's Culprits. It goes through a row of the
// kernel's matrix for each VM, as long as there may be VMs, which at many VMs
// costs more than half of Read again.
func (p *Probes) ReadCulprits() (Reading, error) { return p.readAll(true) }

func (p *Probes) readAll(culprits bool) (Reading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.lookAtOpen(); err != nil {
		return Reading{}, fmt.Errorf("probe: read open waits: %w", err)
	}
	r := Reading{VMs: make(map[string]VM, len(p.vms)), Level: p.level}
	for id, v := range p.vms {
		vm, err := p.read(v)
		if err != nil {
			return Reading{}, fmt.Errorf("probe: read VM %s: %w", id, err)
		}
		if culprits {
			if vm.Culprits, err = p.culprits(v); err != nil {
				return Reading{}, fmt.Errorf("probe: read culprits of VM %s: %w", id, err)
			}
		}
		r.VMs[id] = vm
	}
	var cells [24]byte
	if _, err := p.lost.ReadAt(cells[:], 0); err != nil {
		return Reading{}, fmt.Errorf("probe: read: %w", err)
	}
	r.Absurd, r.Foreign = binary.LittleEndian.Uint64(cells[0:]), binary.LittleEndian.Uint64(cells[8:])
	r.Missed = binary.LittleEndian.Uint64(cells[16:])
	cost, err := p.cost()
	if err != nil {
		return Reading{}, fmt.Errorf("probe: read cost: %w", err)
	}
	r.Cost = cost
	return r, nil
}

func (p *Probes) read(v *vm) (VM, error) {
	out := VM{Since: v.since, Roles: v.ended, Retired: v.ended[RoleVCPU]}
	for tid, t := range v.threads {
		p.refresh(v, t)
		out.Roles[t.role].add(t.total)
		if t.role != RoleVCPU {
			continue
		}
		c := VCPU{Number: t.vcpu, TID: tid, Counters: t.total}
		if err := p.readOpen(t, &c); err != nil {
			return VM{}, err
		}
		out.VCPUs = append(out.VCPUs, c)
	}
	for role, c := range out.Roles {
		if Role(role) != RoleVCPU {
			out.Others.add(c)
		}
	}
	slices.SortFunc(out.VCPUs, func(a, b VCPU) int { return a.Number - b.Number })
	return out, nil
}

// refresh adds to a thread's totals what the kernel counted since the last
// look. The kernel's buckets are 32 bits wide and may wrap; the difference of
// two looks is right as long as fewer than 2^32 waits lie between them.
func (p *Probes) refresh(v *vm, t *thread) {
	if p.still(t) {
		return
	}
	now, ok := p.record(t.slot)
	if !ok {
		return // the next look will do
	}
	t.total.RunNS += now.RunNs - t.last.RunNs
	t.total.WaitNS += now.WaitNs - t.last.WaitNs
	t.total.Waits += now.Waits - t.last.Waits
	for i := range t.total.Latency {
		t.total.Latency[i] += uint64(now.Latency[i] - t.last.Latency[i])
	}
	var seen Split
	for i := range seen {
		seen[i] = now.Split[i] - t.last.Split[i]
	}
	split := fill(seen, t.total.Causes, now.Split[unsampled]-t.last.Split[unsampled])
	for i, ns := range split {
		t.total.Causes[i] += ns
	}
	if t.role == RoleVCPU {
		v.row.surplus += split[CauseVM] - seen[CauseVM]
		hostDelta(&now, &t.last, func(pid int, ns uint64) {
			if seen[CauseHost] > 0 {
				ns += portion(split[CauseHost]-seen[CauseHost], min(ns, seen[CauseHost]), seen[CauseHost])
			}
			v.row.host(pid, ns)
		})
	}
	t.last = now
}

// still says that a thread has neither run nor waited since the last look, as
// most of a VM's have not: then nothing else of its record has changed.
func (p *Probes) still(t *thread) bool {
	var head [24]byte
	if _, err := p.threads.ReadAt(head[:], int64(t.slot)*int64(recordSize)); err != nil {
		return false
	}
	le := binary.LittleEndian
	return le.Uint64(head[0:]) == t.last.WaitNs && le.Uint64(head[8:]) == t.last.RunNs && le.Uint64(head[16:]) == t.last.Waits
}

// record copies a thread's record at a moment at which its parts sum up. The
// kernel is between two of them for some ten nanoseconds a wait.
func (p *Probes) record(slot uint16) (record, bool) {
	buf := p.recordBuf
	for range 10 {
		if _, err := p.threads.ReadAt(buf, int64(slot)*int64(recordSize)); err != nil {
			return record{}, false // the memory is mapped for as long as p lives
		}
		if r := decode(buf); !torn(&r) {
			return r, true
		}
	}
	return record{}, false
}

// cost adds up what the CPUs' programs counted of themselves.
func (p *Probes) cost() (Cost, error) {
	var c Cost
	var buf [24]byte
	for cpu := range p.ncpu {
		if _, err := p.cpus.ReadAt(buf[:], int64(cpu)*int64(cpuSize)); err != nil {
			return Cost{}, err
		}
		c.Runs += binary.LittleEndian.Uint64(buf[0:])
		c.Timed += binary.LittleEndian.Uint64(buf[8:])
		c.TimedNS += binary.LittleEndian.Uint64(buf[16:])
	}
	// Where the kernel does not count them (before 5.12) the field is 0.
	if stats, err := p.coll.Programs[switchProgram].Stats(); err == nil {
		c.Missed = stats.RecursionMisses
	}
	return c, nil
}
