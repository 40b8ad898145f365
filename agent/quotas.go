package agent

import (
	"time"

	"github.com/evenkeel/evenkeel/agent/cgroup"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// lookForQuotas is how often a VM without any quota and with the usual shares is
// looked at again; any other one is read at each gathering.
const lookForQuotas = time.Minute

// gatherQuotas reads the limits of the VMs' groups. A VM whose groups cannot be
// read stays without.
func (a *Agent) gatherQuotas(guests []Guest, into gathering) {
	seen := make(map[string]time.Duration, len(guests))
	for _, g := range guests {
		if g.PID <= 0 {
			continue
		}
		if last, ok := a.unlimited[g.UUID]; ok && into.at-last < lookForQuotas {
			seen[g.UUID] = last
			continue
		}
		l, err := a.cfg.Groups.Limits(g.PID, len(g.VCPUThreads))
		if err != nil {
			a.log.Debug("a VM's quotas", "vm", g.UUID, "err", err)
			continue
		}
		_, own := l.Own()
		_, shared := l.Shared()
		if usual := l.Weight == 0 || l.Weight == cgroup.UsualWeight; usual && !own && !shared {
			seen[g.UUID] = into.at
			continue
		}
		v := into.vms[g.UUID]
		v.limits, v.pid = &l, g.PID
		into.vms[g.UUID] = v
	}
	a.unlimited = seen
}

// growth is how long quotas held a VM back within the window, and its present
// limits; false if it has none.
func (g *gatherings) growth(vm string) (cgroup.Growth, cgroup.Limits, bool) {
	n := len(g.list)
	if n < 2 {
		return cgroup.Growth{}, cgroup.Limits{}, false
	}
	then, now := g.list[0].vms[vm], g.list[n-1].vms[vm]
	if then.limits == nil || now.limits == nil || then.pid != now.pid {
		return cgroup.Growth{}, cgroup.Limits{}, false
	}
	return now.limits.Since(*then.limits), *now.limits, true
}

// throttled estimates how long quotas held a VM back within a span of time, by
// how long they did so within the window of the vitals.
func (g *gatherings) throttled(vm string, span time.Duration) uint64 {
	grown, _, ok := g.growth(vm)
	if !ok || g.span() <= 0 {
		return 0
	}
	ns := float64(grown.OwnNS) + float64(grown.SlicesNS)
	return uint64(min(ns*float64(span)/float64(g.span()), float64(time.Hour)))
}

// tellQuotas adds a VM's own limit and its shares, and divides what quotas held it back
// between its own and those of the slices above.
func (g *gatherings) tellQuotas(d *cluster.Detail, vm string) {
	grown, limits, ok := g.growth(vm)
	if !ok {
		return
	}
	if milli, limited := limits.Own(); limited {
		d.Quota = cluster.MilliCPU(milli)
	}
	if limits.Weight != cgroup.UsualWeight {
		d.Shares = cluster.Shares(limits.Weight)
	}
	if d.Waits != nil {
		own, slices := cgroup.SplitQuota(uint64(d.Waits.Quota), grown, limits)
		d.Waits.Quota, d.Waits.SliceQuota = cluster.MilliCPU(own), cluster.MilliCPU(slices)
	}
}
