package rebalancer

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// span is a stretch of time in which nothing but time passed on a host: its
// figures belong to one placement.
type span struct{ from, until cluster.Time }

// sample is the mean of what was measured in a span.
type sample struct {
	pain cluster.Ratio
	run  cluster.MilliCPU // of a VM
}

// mean adds up samples.
type mean struct {
	pain, run int64
	n         int64
}

func (m *mean) add(pain cluster.Ratio, run cluster.MilliCPU) {
	m.pain += int64(pain)
	m.run += int64(run)
	m.n++
}

func (m mean) of() (sample, bool) {
	if m.n == 0 {
		return sample{}, false
	}
	return sample{cluster.Ratio(m.pain / m.n), cluster.MilliCPU(m.run / m.n)}, true
}

// host is the mean of a host's figures: of whole minutes within the span, or
// while there is none of the windows that lie within it.
func (p span) host(h cluster.Host) (sample, bool) {
	var m mean
	for _, minute := range h.Minutes() {
		if p.holds(minute.At, time.Minute) {
			m.add(minute.Pain, minute.Use)
		}
	}
	if m.n > 0 {
		return m.of()
	}
	for _, b := range h.Beats {
		if p.holds(b.At.Add(-b.Load.Window), b.Load.Window) && b.Load.Source != cluster.SourceNone {
			m.add(b.Load.Pain(), b.Load.Use)
		}
	}
	return m.of()
}

// vm is the same of one of its VMs.
func (p span) vm(h cluster.Host, slot uint32) (sample, bool) {
	var m mean
	for _, minute := range h.Minutes() {
		for _, v := range minute.VMs {
			if v.Slot == slot && p.holds(minute.At, time.Minute) {
				m.add(v.Pain, v.Run)
			}
		}
	}
	if m.n > 0 {
		return m.of()
	}
	for _, b := range h.Beats {
		v, ok := b.Load.VM(slot)
		if ok && b.Load.Inventory == h.Inventory.Revision && p.holds(b.At.Add(-b.Load.Window), b.Load.Window) && b.Load.Source != cluster.SourceNone {
			m.add(v.Pain(), v.Run)
		}
	}
	return m.of()
}

func (p span) holds(from cluster.Time, long time.Duration) bool {
	return from >= p.from && from.Add(long) <= p.until
}
