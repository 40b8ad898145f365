package agent

import (
	"context"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// dirtyRate is how fast a VM's memory was seen to change.
type dirtyRate struct {
	rate cluster.BytesPerSecond
	at   time.Duration // CLOCK_BOOTTIME
}

const (
	dirtyPeriod = time.Second
	// dirtyEvery is how often a VM that stays a candidate is measured again, and
	// dirtyFor how long a figure is worth telling.
	dirtyEvery = 2 * time.Minute
	dirtyFor   = 10 * time.Minute
)

// measureDirty watches the memory of VMs that the planner weighs, one at a time,
// until ctx ends. It costs a VM some CPU, so no others are watched.
func (a *Agent) measureDirty(ctx context.Context) {
	for {
		vm, ok := a.nextDirty()
		if !ok {
			if pause(ctx, gatherSoonest) != nil {
				return
			}
			continue
		}
		rate, err := a.cfg.DirtyRate(ctx, vm, dirtyPeriod)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.log.Debug("dirty rate", "vm", vm, "err", err)
		}
		a.noteDirty(vm, rate, err)
	}
}

// nextDirty is a candidate of the planner's that runs here and has not been
// tried for a while.
func (a *Agent) nextDirty() (vm string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Uptime()
	for _, vm := range a.view.Candidates {
		here := slices.ContainsFunc(a.guests, func(g Guest) bool { return g.UUID == vm && g.State == RunStateRunning && !g.Migrating })
		if tried, known := a.dirtyTried[vm]; here && (!known || now-tried >= dirtyEvery) {
			return vm, true
		}
	}
	return "", false
}

// noteDirty keeps a measurement, or that there was none, and forgets old ones.
func (a *Agent) noteDirty(vm string, rate int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Uptime()
	a.dirtyTried[vm] = now
	if err == nil {
		a.dirty[vm] = dirtyRate{cluster.BytesPerSecond(rate), now}
	}
	for id, tried := range a.dirtyTried {
		if now-tried >= dirtyFor {
			delete(a.dirtyTried, id)
			delete(a.dirty, id)
		}
	}
}

// tellDirty adds a fresh measurement to a VM's details; a.mu is held.
func (a *Agent) tellDirty(d *cluster.Details) {
	for i, vm := range d.VMs {
		known, ok := a.register.now.BySlot(vm.Slot)
		if !ok || vm.Memory == nil {
			continue
		}
		if m, measured := a.dirty[known.UUID]; measured && a.cfg.Uptime()-m.at < dirtyFor {
			d.VMs[i].Memory.DirtyRate = &m.rate
		}
	}
}
