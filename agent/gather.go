package agent

import (
	"context"
	"time"
)

// gather asks for the VMs' vitals every few seconds until ctx ends.
func (a *Agent) gather(ctx context.Context) {
	ticker := time.NewTicker(gatherEvery)
	defer ticker.Stop()
	for {
		a.gatherOnce()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *Agent) gatherOnce() {
	a.mu.Lock()
	guests := a.guests
	a.mu.Unlock()
	next := gathering{at: a.cfg.Uptime(), vms: make(map[string]vitals, len(guests))}
	for _, g := range guests {
		next.vms[g.UUID] = vitals{}
	}
	a.gatherBlock(guests, next)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gathered.add(next)
}

// gatherBlock reads what the kernel counted of the VMs' block I/O.
func (a *Agent) gatherBlock(guests []Guest, into gathering) {
	if a.cfg.Block == nil {
		return
	}
	if err := a.cfg.Block.Follow(guests); err != nil {
		a.log.Debug("the block I/O of some VMs is not counted", "err", err)
	}
	r, err := a.cfg.Block.Read()
	if err != nil {
		a.log.Error("block I/O", "err", err)
		return
	}
	for id, vm := range r.VMs {
		if v, here := into.vms[id]; here {
			v.block = &vm
			into.vms[id] = v
		}
	}
}
