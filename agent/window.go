package agent

import (
	"math"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// WindowLength is the sliding window over which a load snapshot speaks.
const WindowLength = 10 * time.Second

// minWindow is how much of a window a VM must have been seen for before its
// figures are worth anything.
const minWindow = 2 * time.Second

// sample is one second's raw counters; it never leaves the host.
type sample struct {
	reading Reading
	busyNS  uint64 // of the CPUs that VMs may use
	ownNS   uint64 // that this daemon has run
}

// window keeps the samples of the last WindowLength.
type window struct{ samples []sample }

// add appends a sample and forgets those that are no longer needed. A clock
// that ran backwards or a gap longer than the window begins a new one.
func (w *window) add(s sample) {
	if n := len(w.samples); n > 0 {
		if gap := s.reading.At - w.samples[n-1].reading.At; gap <= 0 || gap > WindowLength {
			w.samples = nil
		}
	}
	w.samples = append(w.samples, s)
	for len(w.samples) > 2 && s.reading.At-w.samples[1].reading.At >= WindowLength {
		w.samples = slices.Delete(w.samples, 0, 1)
	}
}

// host is what the figures of a host are put together from.
type hostFacts struct {
	cpus      cluster.MilliCPU
	memory    cluster.Bytes
	inventory cluster.Inventory
	source    cluster.Source
	takenAt   time.Time
	nextIn    time.Duration
	settling  func(vm string) bool // it booted or came a moment ago
	poller    func(vm string) bool // its guest never sleeps
	// throttled estimates how long quotas held a VM back within a span, by the
	// groups' own accounts.
	throttled func(vm string, span time.Duration) (ns uint64)
	// halted is how long its vCPUs have spun idly (KVM's halt polling).
	halted func(vm string, span time.Duration) (ns uint64)
	task   func(pid int) (name string) // of a host's process, "" if it is gone
}

// load makes the windowed figures. Before there are two samples there is
// nothing to say, and the source is none.
func (w *window) load(f hostFacts) cluster.Load {
	l := cluster.Load{
		TakenAt: cluster.TimeOf(f.takenAt), Window: time.Second, NextIn: f.nextIn, Inventory: f.inventory.Revision,
		Source: cluster.SourceNone, CPUs: f.cpus, Memory: f.memory,
	}
	n := len(w.samples)
	if n < 2 {
		return l
	}
	first, last := w.samples[0], w.samples[n-1]
	l.Window = last.reading.At - first.reading.At
	l.Source = f.source
	l.Lost = less(last.reading.Lost, first.reading.Lost)
	l.Cost = min(cost(first, last, l.Window), f.cpus)
	l.Use = min(perWall(less(last.busyNS, first.busyNS), l.Window), f.cpus)

	var sum, settled totals
	for _, vm := range f.inventory.VMs {
		if vm.Incoming || vm.Run != cluster.RunRunning {
			continue
		}
		v, t, ok := w.vm(vm, f)
		if !ok || v.Absurd() != "" {
			continue // not measured: the snapshot must not be lost for a figure that cannot be
		}
		v.Settling, v.Poller = f.settling(vm.UUID), f.poller(vm.UUID)
		l.VMs = append(l.VMs, v)
		sum.add(t)
		l.StealMax = max(l.StealMax, v.StealMax)
		if !v.Settling {
			settled.add(t)
			l.ContentionMax = max(l.ContentionMax, v.ContentionMax)
		}
	}
	l.Steal = ratio(sum.waitNS, sum.wallNS)
	l.Contention = ratio(settled.othersNS, settled.wallNS)
	l.Overhead = max(l.Use-sum.use, 0)
	return l
}

// cost is what measuring took between two samples: the probe, and the daemon
// with all that it does.
func cost(then, now sample, span time.Duration) cluster.MilliCPU {
	var probe float64
	if c := now.reading.Cost; c.Runs >= then.reading.Cost.Runs {
		probe = c.Sub(then.reading.Cost).TotalNS()
	}
	return perWall(less(now.ownNS, then.ownNS)+uint64(max(probe, 0)), span)
}

// details tell of each VM what its figures do not; nil before there is a
// window.
func (w *window) details(g *gatherings, f hostFacts) *cluster.Details {
	n := len(w.samples)
	if n < 2 {
		return nil
	}
	out := &cluster.Details{Vitals: g.span(), Window: w.samples[n-1].reading.At - w.samples[0].reading.At, Inventory: f.inventory.Revision}
	for _, vm := range f.inventory.VMs {
		if vm.Incoming || vm.Run != cluster.RunRunning {
			continue
		}
		d := cluster.Detail{Slot: vm.Slot}
		w.whoIsToBlame(&d, vm.UUID, f)
		g.tell(&d, vm.UUID)
		if d.Absurd() != "" {
			// Somebody told us nonsense; the snapshot must not be lost for it.
			d = cluster.Detail{Slot: vm.Slot}
		}
		out.VMs = append(out.VMs, d)
	}
	return out
}

// totals are sums over the VMs of a host.
type totals struct {
	waitNS, othersNS, wallNS uint64 // othersNS: the part of waitNS that is others' doing
	use                      cluster.MilliCPU
}

func (t *totals) add(o totals) {
	t.waitNS += o.waitNS
	t.othersNS += o.othersNS
	t.wallNS += o.wallNS
	t.use += o.use
}

// vm makes one VM's figures from the part of the window in which it was there
// with the same threads.
func (w *window) vm(vm cluster.VM, f hostFacts) (v cluster.VMLoad, t totals, ok bool) {
	last := w.samples[len(w.samples)-1]
	now, seen := last.reading.VMs[vm.UUID]
	if !seen || len(now.VCPUs) == 0 {
		return v, t, false
	}
	then, span, ok := w.since(vm.UUID, now)
	if !ok || span < minWindow {
		return v, t, false
	}
	v.Slot = vm.Slot
	var latency bpf.Histogram
	var demand time.Duration
	spans := spent(then, now)
	if !last.reading.Throttling {
		withoutThrottling(spans, f.throttled(vm.UUID, span))
	}
	useful := usefulShare(spans, f.halted(vm.UUID, span))
	for i, c := range spans {
		worked := uint64(float64(c.run) * useful)
		sleep := span - time.Duration(min(worked+c.wait, uint64(span)))
		demand += cluster.Demand(time.Duration(worked), time.Duration(c.others), sleep)
		v.StealMax = max(v.StealMax, ratio(c.wait, uint64(span)))
		v.ContentionMax = max(v.ContentionMax, ratio(c.others, uint64(span)))
		latency = latency.Add(now.VCPUs[i].Latency.Sub(then.VCPUs[i].Latency))
		t.waitNS += c.wait
		t.othersNS += c.others
		t.wallNS += uint64(span)
		v.Run += perWall(c.run, span)
	}
	v.Wait = perWall(t.waitNS, span)
	v.Others = perWall(less(now.Others, then.Others), span)
	v.Demand = perWall(uint64(demand), span)
	v.Steal = ratio(t.waitNS, t.wallNS)
	v.Contention = ratio(t.othersNS, t.wallNS)
	v.P50, v.P99, v.P999 = latency.Quantile(0.50), latency.Quantile(0.99), latency.Quantile(0.999)
	t.use = v.Run + v.Others
	return v, t, true
}

// since finds the oldest sample that counted the same vCPU threads of the VM
// from the same epoch.
func (w *window) since(uuid string, now VMReading) (then VMReading, span time.Duration, ok bool) {
	last := w.samples[len(w.samples)-1]
	for _, s := range w.samples {
		r, seen := s.reading.VMs[uuid]
		if seen && r.Since.Equal(now.Since) && sameThreads(r, now) {
			return r, last.reading.At - s.reading.At, true
		}
	}
	return then, 0, false
}

// listed finds the oldest and the newest sample of the window that list the
// VM's culprits, as far as its vCPU threads and its epoch are those of now.
func (w *window) listed(uuid string) (then, now VMReading, ok bool) {
	last, here := w.samples[len(w.samples)-1].reading.VMs[uuid]
	found := 0
	for _, s := range w.samples {
		r, seen := s.reading.VMs[uuid]
		if !here || !seen || !s.reading.Listed || !r.Since.Equal(last.Since) || !sameThreads(r, last) {
			continue
		}
		if found++; found == 1 {
			then = r
		}
		now = r
	}
	return then, now, found > 1
}

func sameThreads(a, b VMReading) bool {
	return slices.EqualFunc(a.VCPUs, b.VCPUs, func(x, y VCPUReading) bool { return x.TID == y.TID })
}

// less subtracts counters; one that fell (which none should) counts as 0.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// perWall turns a time within a span into thousandths of a CPU, rounded.
func perWall(ns uint64, span time.Duration) cluster.MilliCPU {
	if span <= 0 {
		return 0
	}
	return cluster.MilliCPU(math.Round(float64(ns) * 1000 / float64(span)))
}

// ratio is a share in parts per million, rounded, at most the whole: waits
// that ended in the window may have begun before it.
func ratio(part, whole uint64) cluster.Ratio {
	if whole == 0 {
		return 0
	}
	return min(cluster.Ratio(math.Round(float64(part)*1e6/float64(whole))), cluster.Whole)
}
