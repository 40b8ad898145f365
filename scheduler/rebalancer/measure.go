package rebalancer

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// measure reads the same figures that were predicted: means over a time after
// the move, which may not be the same for both ends.
func measure(s cluster.State, m cluster.Move, atSource, atTarget span, now cluster.Time) (cluster.Effect, bool) {
	source, sourceOK := settledHost(s, m.Source, now)
	target, targetOK := settledHost(s, m.Target, now)
	i := slices.IndexFunc(target.Inventory.VMs, func(v cluster.VM) bool { return v.UUID == m.VM })
	if !sourceOK || !targetOK || i < 0 {
		return cluster.Effect{}, false
	}
	slot := target.Inventory.VMs[i].Slot
	there, ok1 := atTarget.vm(target, slot)
	on, ok2 := atTarget.host(target)
	off, ok3 := atSource.host(source)
	if !ok1 || !ok2 || !ok3 {
		return cluster.Effect{}, false
	}
	e := m.Predicted
	e.VMContentionAfter, e.SourceContentionAfter, e.TargetContentionAfter = there.pain, off.pain, on.pain
	e.VMRunAfter = there.run
	life := target.LifeOf(slot)
	if life.Layer != e.VMRequestsLayer {
		life.Requests = -1 // counted elsewhere, it is another figure
	}
	e.VMRequestsAfter, e.VMReceivedAfter = life.Requests, life.Received
	e.Downtime, e.Bytes = m.Downtime, m.Bytes
	if m.StartedAt != 0 && m.JobEndedAt != 0 {
		e.Duration = m.JobEndedAt.Sub(m.StartedAt)
	}
	e.VMP99After = atTarget.p99(target, func(v cluster.VMLoad) bool { return v.Slot == slot })
	e.TargetP99After, e.SourceP99After = atTarget.p99(target, anyVM), atSource.p99(source, anyVM)
	e.SourceMemoryAfter, e.TargetMemoryAfter = source.Resident(), target.Resident()
	measureBystander(&e, atTarget, target)
	return e, true
}

// measureBystander looks at the same VM again, if it is still there.
func measureBystander(e *cluster.Effect, p span, target cluster.Host) {
	vm := e.Bystander
	e.Bystander, e.BystanderContentionAfter = "", 0
	i := slices.IndexFunc(target.Inventory.VMs, func(v cluster.VM) bool { return v.UUID == vm })
	if i < 0 {
		return
	}
	if is, ok := p.vm(target, target.Inventory.VMs[i].Slot); ok {
		e.Bystander, e.BystanderContentionAfter = vm, is.pain
	}
}

func anyVM(cluster.VMLoad) bool { return true }

// p99 is the longest run-queue latency, at its 99th percentile, of the VMs of a
// host that are asked for: the mean over the windows within the span, of which
// the State keeps the last few; 0 if there are none.
func (p span) p99(h cluster.Host, of func(cluster.VMLoad) bool) time.Duration {
	var sum time.Duration
	n := 0
	for _, b := range h.Beats {
		if b.Load.Inventory != h.Inventory.Revision || !p.holds(b.At.Add(-b.Load.Window), b.Load.Window) {
			continue
		}
		longest := time.Duration(0)
		for _, v := range b.Load.VMs {
			if of(v) {
				longest = max(longest, v.P99)
			}
		}
		if longest > 0 {
			sum, n = sum+longest, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / time.Duration(n)
}

// settledHost is a host that speaks and knows its VMs.
func settledHost(s cluster.State, id string, now cluster.Time) (cluster.Host, bool) {
	h, ok := s.Host(id)
	if !ok || !h.Fresh(now) {
		return h, false
	}
	b, _ := h.Last()
	return h, b.Load.Source != cluster.SourceNone && b.Load.Inventory == h.Inventory.Revision
}
