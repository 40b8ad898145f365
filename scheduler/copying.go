package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// assumedBandwidth is what a migration is taken to copy at while nothing has
// been measured: most of a 1 Gbit/s link.
const assumedBandwidth = cluster.BytesPerSecond(110 << 20)

// A migration's rate means something if it copied much, and without what
// libvirt does before and after the copying.
const (
	muchCopied = 256 * cluster.MiB
	around     = 2 * time.Second
)

// ratesKept is how many of a host's last migrations its rate is the median of.
const ratesKept = 8

// rates are what migrations copied at, and for how long their VMs stood still.
type rates struct {
	to  map[string][]cluster.BytesPerSecond // by target, newest first
	all []cluster.BytesPerSecond

	stood map[standing][]time.Duration // newest first
}

// standing is what a VM's standstill at its switch-over depends on. Of moves to
// anywhere the target is "".
type standing struct {
	target string
	paused bool // it arrives paused, and waits for the proof that its source is without it
}

// What a VM is taken to stand still for while nothing has been measured: what
// QEMU allows itself unless the policy says otherwise, and for one that arrives
// paused what the way over both ends' word took in the lab.
const (
	assumedDowntime = 300 * time.Millisecond
	assumedArrival  = 2 * time.Second
)

// learn takes in a move of the past day; they come newest first. One that took
// longer than any may was timed by a clock that stepped.
func (r *rates) learn(m cluster.Move, now cluster.Time, budget time.Duration) {
	r.learnDowntime(m, now)
	took := m.JobEndedAt.Sub(m.StartedAt)
	if m.State != cluster.MoveDone || m.StartedAt == 0 || took <= 0 || took > budget || m.Bytes < muchCopied || now.Sub(m.EndedAt) > 24*time.Hour {
		return
	}
	rate := cluster.BytesPerSecond(float64(m.Bytes) / (took - min(around, took/2)).Seconds())
	if r.to == nil {
		r.to = map[string][]cluster.BytesPerSecond{}
	}
	if len(r.to[m.Target]) < ratesKept {
		r.to[m.Target] = append(r.to[m.Target], rate)
	}
	if len(r.all) < ratesKept {
		r.all = append(r.all, rate)
	}
}

// of is the rate at which a VM would be copied to a host: the median of the
// last migrations there, else of those anywhere, else what is assumed. What is
// assumed counts as one of them, so that one slow migration, after which none
// is begun, does not say for ever how fast they are.
func (r *rates) of(target string) (rate cluster.BytesPerSecond, measured bool) {
	known := r.to[target]
	if len(known) == 0 {
		known = r.all
	}
	if len(known) == 0 {
		return assumedBandwidth, false
	}
	sorted := append(slices.Clone(known), assumedBandwidth)
	slices.Sort(sorted)
	return max(sorted[len(sorted)/2], 1), true
}

// learnDowntime takes in for how long a VM stood still.
func (r *rates) learnDowntime(m cluster.Move, now cluster.Time) {
	if m.State != cluster.MoveDone || m.Downtime <= 0 || now.Sub(m.EndedAt) > 24*time.Hour {
		return
	}
	if r.stood == nil {
		r.stood = map[standing][]time.Duration{}
	}
	for _, k := range []standing{{m.Target, m.ArrivesPaused}, {"", m.ArrivesPaused}} {
		if len(r.stood[k]) < ratesKept {
			r.stood[k] = append(r.stood[k], m.Downtime)
		}
	}
}

// downtime is for how long a VM would stand still: the median of the last
// migrations of its kind to that host, else of those anywhere, else what the
// policy allows.
func (f *fleet) downtime(v *vm, target *host) time.Duration {
	paused := f.set.ArrivePaused && v.facts.Lock != cluster.LockLockable
	for _, k := range []standing{{target.id, paused}, {"", paused}} {
		if known := f.rates.stood[k]; len(known) > 0 {
			sorted := slices.Clone(known)
			slices.Sort(sorted)
			return sorted[len(sorted)/2]
		}
	}
	switch {
	case paused:
		return assumedArrival
	case f.set.MaxDowntime != 0:
		return f.set.MaxDowntime
	}
	return assumedDowntime
}

// copying is a migration as it is predicted.
type copying struct {
	rate     cluster.BytesPerSecond
	measured bool                   // rate is of past migrations
	dirty    cluster.BytesPerSecond // how fast the VM changes its memory, 0 if that is not known
	disks    cluster.Bytes          // that are copied along, as much of them as is in use
	writes   cluster.BytesPerSecond // how fast the VM writes to its disks while they are
	takes    time.Duration          // 0: it never ends
	bytes    cluster.Bytes
}

// endless is the share of the rate from which on a VM changes its memory as
// fast as it is copied.
const endless = 0.9

// copying predicts the migration of a VM to a host. While memory is copied at
// rate r, it changes at rate d; that is copied again, and so on: a geometric
// series, mem/r × (1 + d/r + (d/r)² + …) = mem/(r−d), cut short when the rest
// fits into the downtime, which is left out here.
//
//	1 GiB, r 110 MiB/s, d 0:        9.3 s, 1 GiB
//	1 GiB, r 110 MiB/s, d 55 MiB/s: 18.6 s, 2 GiB
//	1 GiB, r 110 MiB/s, d 100 MiB/s: never
//
// Disks that are copied along go before the memory, in the same manner: the VM
// writes to them at rate w, and that is copied again. They are kept equal until
// the switch-over, so that the memory has only what those writes leave of r.
//
//	and 10 GiB of disk, w 0:        102.4 s, 11 GiB
//	and 10 GiB of disk, w 10 MiB/s: 112.6 s, 12.1 GiB
func (f *fleet) copying(source *host, v *vm, target *host) copying {
	c := copying{dirty: source.dirties(v)}
	c.rate, c.measured = f.rates.of(target.id)
	if limit := f.set.Limit(source.member, target.member).Rate; limit != 0 && limit < c.rate {
		c.rate = limit
	}
	if len(v.copies) > 0 {
		c.disks, c.writes = cluster.CopiedBytes(v.copies), source.writes(v)
	}
	r, d, w := float64(c.rate), float64(c.dirty), float64(c.writes)
	if d+w >= r*endless {
		return c
	}
	seconds := float64(c.disks)/(r-w) + float64(v.facts.MaxMemory)/(r-w-d)
	c.takes = time.Duration(float64(seconds * float64(time.Second)))
	c.bytes = cluster.Bytes(float64(seconds * r))
	return c
}

// words says what the prediction is founded on.
func (c copying) words() string {
	how := "assumed"
	if c.measured {
		how = "as migrations went before"
	}
	text := fmt.Sprintf("%s %v/s", how, cluster.Bytes(c.rate))
	if c.dirty > 0 {
		text += fmt.Sprintf(", it changes %v/s", cluster.Bytes(c.dirty))
	}
	if c.disks > 0 {
		text += fmt.Sprintf(", %v of it disks, to which it writes %v/s", c.disks, cluster.Bytes(c.writes))
	}
	return text
}

// ofDisks says how much of the changes is of disks.
func (c copying) ofDisks() string {
	if c.disks == 0 {
		return ""
	}
	return fmt.Sprintf(" and writes %v/s to its disks", cluster.Bytes(c.writes))
}

// writes is how fast a VM writes to its disks, 0 if that was not measured. That
// goes to all of them, copied or not: more than is copied again, if anything.
func (h *host) writes(v *vm) cluster.BytesPerSecond {
	d, window, ok := h.state.Detail(v.facts.Slot)
	if !ok || d.Block == nil || window <= 0 {
		return 0
	}
	return cluster.BytesPerSecond(float64(d.Block.Write.Bytes) / window.Seconds())
}

// dirties is how fast a VM changes its memory, 0 if that was not measured.
func (h *host) dirties(v *vm) cluster.BytesPerSecond {
	d, _, ok := h.state.Detail(v.facts.Slot)
	if !ok || d.Memory == nil || d.Memory.DirtyRate == nil {
		return 0
	}
	return *d.Memory.DirtyRate
}

// fits says why a migration is not one for evenkeel to begin by itself, or nil.
func (f *fleet) fits(c *candidate) *cluster.Refusal {
	p := f.copying(c.source, c.vm, c.target)
	switch longest := f.set.LongestMove; {
	case p.takes == 0:
		return no(cluster.CodeNotConverging, "%s changes %v/s of its memory%s, and %v/s can be copied to %s", c.vm.name, cluster.Bytes(p.dirty), p.ofDisks(), cluster.Bytes(p.rate), c.target.name)
	case longest != 0 && p.takes > longest:
		return no(cluster.CodeTooSlow, "%s to %s would take %v, longest_move is %v", c.vm.name, c.target.name, p.takes.Round(100*time.Millisecond), longest)
	case p.takes > f.set.MoveBudget:
		return no(cluster.CodeTooSlow, "%s to %s would take %v, and be aborted after move_budget, which is %v", c.vm.name, c.target.name, p.takes.Round(100*time.Millisecond), f.set.MoveBudget)
	}
	if r := f.state.HushSoon(p.takes); r != nil {
		return r
	}
	return f.state.VMHushSoon(c.vm.uuid, c.vm.name, p.takes)
}
