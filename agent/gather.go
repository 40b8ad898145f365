package agent

import (
	"context"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
)

// gather asks for the VMs' vitals now and then until ctx ends.
func (a *Agent) gather(ctx context.Context) {
	for {
		vms := a.gatherOnce(ctx)
		if pause(ctx, gatherPause(vms)) != nil {
			return
		}
	}
}

// gatherOnce returns of how many VMs there are vitals now.
func (a *Agent) gatherOnce(ctx context.Context) (vms int) {
	a.mu.Lock()
	guests := a.guests
	a.mu.Unlock()
	next := gathering{at: a.cfg.Uptime(), vms: make(map[string]vitals, len(guests))}
	for _, g := range guests {
		next.vms[g.UUID] = vitals{}
	}
	a.gatherBlock(guests, next)
	a.gatherDisks(ctx, next)
	a.gatherStats(ctx, next)
	a.gatherMemory(guests, next)
	a.gatherQuotas(guests, next)
	a.gatherHost(&next.host)
	a.gatherPollers(guests)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gathered.add(next)
	return len(next.vms)
}

// gatherBlock reads what the kernel counted of the VMs' block I/O.
func (a *Agent) gatherBlock(guests []Guest, into gathering) {
	if a.cfg.Block == nil {
		return
	}
	if err := a.cfg.Block.Follow(guests); err != nil {
		a.log.Debug("the block I/O of some VMs is not counted", "err", err)
	}
	for id, vm := range a.readBlock() {
		if v, here := into.vms[id]; here {
			v.block = &vm
			into.vms[id] = v
		}
	}
}

// readBlock is what the kernel counted of the VMs' block I/O so far, nil if it
// does not.
func (a *Agent) readBlock() map[string]bpf.BlockVM {
	if a.cfg.Block == nil {
		return nil
	}
	r, err := a.cfg.Block.Read()
	if err != nil {
		a.log.Error("block I/O", "err", err)
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocks = ProbeUse{Probe: ProbeBlock, Cost: r.Cost, Lost: r.Lost + r.Absurd + r.Future}
	return r.VMs
}

// gatherDisks asks libvirt what the guests saw of their disks. A VM of which
// nothing is known stays without figures.
func (a *Agent) gatherDisks(ctx context.Context, into gathering) {
	ctx, cancel := context.WithTimeout(ctx, gatherSoonest)
	defer cancel()
	disks, err := a.cfg.Disks.Stats(ctx)
	if err != nil {
		a.log.Debug("disks' statistics", "err", err)
		return
	}
	for id, list := range disks {
		if v, here := into.vms[id]; here {
			v.disks = list
			into.vms[id] = v
		}
	}
}

// gatherPollers looks whether vCPUs that are busy all the time ever sleep.
func (a *Agent) gatherPollers(guests []Guest) {
	a.mu.Lock()
	busy := make(map[string]int64, len(guests))
	for _, vm := range a.register.now.VMs {
		if l, ok := a.live.Load.VM(vm.Slot); ok && vm.VCPUs > 0 {
			busy[vm.UUID] = int64(l.Run+l.Wait) / int64(vm.VCPUs)
		}
	}
	a.mu.Unlock()
	now, tids := a.cfg.Uptime(), map[int]bool{}
	for _, g := range guests {
		for _, tid := range g.VCPUThreads {
			if tid <= 0 || busy[g.UUID] < alwaysBusy {
				continue // it sleeps: forgotten
			}
			s, err := a.cfg.Proc.Switches(g.PID, tid)
			if err != nil {
				continue // it has ended
			}
			tids[tid] = true
			a.mu.Lock()
			a.pollers.note(tid, now, s.Voluntary, busy[g.UUID])
			a.mu.Unlock()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pollers.keep(tids)
}

// gatherStats asks libvirt for balloons and interfaces.
func (a *Agent) gatherStats(ctx context.Context, into gathering) {
	ctx, cancel := context.WithTimeout(ctx, gatherSoonest)
	defer cancel()
	stats, err := a.cfg.Stats(ctx)
	if err != nil {
		a.log.Debug("VMs' statistics", "err", err)
		return
	}
	for id, s := range stats {
		if v, here := into.vms[id]; here {
			v.stats = &s
			into.vms[id] = v
		}
	}
}

// gatherMemory looks at QEMU's processes. One that has ended stays without
// figures.
func (a *Agent) gatherMemory(guests []Guest, into gathering) {
	for _, g := range guests {
		if g.PID <= 0 {
			continue
		}
		footprint, err := a.cfg.Proc.Footprint(g.PID)
		if err != nil {
			a.log.Debug("a VM's memory", "vm", g.UUID, "err", err)
			continue
		}
		faults, err := a.cfg.Proc.MajorFaults(g.PID)
		if err != nil {
			a.log.Debug("a VM's major faults", "vm", g.UUID, "err", err)
			continue
		}
		v := into.vms[g.UUID]
		v.memory, v.faults, v.pid = &footprint, faults, g.PID
		if polled, err := a.cfg.Proc.HaltPolling(g.PID); err == nil {
			v.polled = &polled
		}
		into.vms[g.UUID] = v
	}
}

// gatherHost looks at the host's interrupts and its pressure. A kernel that
// does not account for pressure leaves it unknown, which is not 0.
func (a *Agent) gatherHost(into *hostVitals) {
	times, err := a.cfg.Proc.CPUTimes()
	if err != nil {
		a.log.Debug("interrupts", "err", err)
	} else {
		into.interruptNS = procfs.InterruptNS(times, a.cfg.CPUs)
	}
	var s stalls
	for _, r := range []struct {
		resource   procfs.Resource
		some, full *uint64
	}{
		{procfs.ResourceCPU, &s.cpuSome, nil}, {procfs.ResourceMemory, &s.memorySome, &s.memoryFull}, {procfs.ResourceIO, &s.ioSome, &s.ioFull},
	} {
		p, err := a.cfg.Proc.Pressure(r.resource)
		if err != nil {
			a.log.Debug("pressure", "resource", r.resource, "err", err)
			return
		}
		*r.some = p.Some.TotalNS
		if r.full != nil {
			*r.full = p.Full.TotalNS
		}
	}
	into.pressure = &s
}
