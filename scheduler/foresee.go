package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What is foreseen of a chosen move beyond what it is chosen for: how long
// single waits get, what memory the hosts will hold, and which of the others
// bears most. It is held against what is measured afterwards, like the rest.

// foresee completes a prediction.
func (f *fleet) foresee(c *candidate, e *cluster.Effect) {
	f.foreseeTails(c, e)
	e.SourceMemoryBefore, e.SourceMemoryAfter = c.source.resident(nil, nil, true), c.source.resident(nil, c.vm, false)
	e.TargetMemoryBefore, e.TargetMemoryAfter = c.target.resident(nil, nil, true), c.target.resident(c.vm, nil, false)
	if b, pain := c.target.bystander(c.vm); b != nil {
		e.Bystander, e.BystanderContentionBefore, e.BystanderContentionAfter = b.uuid, b.measured, ppm(pain)
	}
}

// resident is the memory that a host's VMs hold, one having come and another
// left, 0 if it is not known of all of them. Reported says that only those count
// that the host itself reports, not what is on its way there.
func (h *host) resident(came, left *vm, reported bool) cluster.Bytes {
	var sum cluster.Bytes
	all := slices.Clone(h.vms)
	if came != nil {
		all = append(all, came)
	}
	for _, v := range all {
		if v == left || reported && v.home != h {
			continue
		}
		held := v.home.state.ResidentOf(v.facts.Slot)
		if held == 0 {
			return 0
		}
		sum += held
	}
	for _, v := range h.dark {
		held := h.state.ResidentOf(v.Slot)
		if held == 0 {
			return 0
		}
		sum += held
	}
	return sum
}

// bystander is the VM of a host that bears most of another one's coming, and
// what it will suffer; nil if there is none.
func (h *host) bystander(came *vm) (worst *vm, pain float64) {
	level, rise := h.level(came, nil), 0.0
	for _, v := range h.vms {
		if v.arriving {
			continue
		}
		p := v.pain(level, grown(h.work-v.work(), came.work()))
		more := p - v.measured.Float()
		if worst == nil || cmp.Or(cmp.Compare(rise, more), cmp.Compare(pain, p), cmp.Compare(v.uuid, worst.uuid)) < 0 {
			worst, pain, rise = v, p, more
		}
	}
	return worst, pain
}

// A VM's tail, how long its longest wait in a hundred is, grows and shrinks with
// its contention, down to what a VM has that hardly waits.
//
// Worked: a VM that waits half of the time has a p99 of 24 ms. Where it would
// wait a quarter of the time it is taken to have 12 ms, and where it would not
// wait at all what calm VMs have: 0.2 ms.

// tails is what a fleet's VMs show of that.
type tails struct {
	known bool
	calm  time.Duration // median of VMs that hardly wait, 0 if there are none
	slope float64       // ns of p99 per share of time waited: median of the others, 0 if there are none
}

// hardlyWaits is the contention below which a tail says nothing of how it grows.
const hardlyWaits = cluster.Ratio(10_000) // 1 %

// tails looks at the whole fleet, once.
func (f *fleet) tailsKnown() tails {
	if f.tails.known {
		return f.tails
	}
	var calm, slopes []float64
	for _, h := range f.hosts {
		for _, v := range h.vms {
			p99 := v.p99()
			switch {
			case v.arriving || p99 == 0:
			case v.measured < hardlyWaits:
				calm = append(calm, float64(p99))
			default:
				slopes = append(slopes, float64(p99)/v.measured.Float())
			}
		}
	}
	f.tails = tails{true, time.Duration(median(calm)), median(slopes)}
	return f.tails
}

// median is 0 of nothing.
func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[len(of)/2]
}

// p99 is a VM's tail as measured, 0 if it is not known.
func (v *vm) p99() time.Duration {
	if v.home == nil {
		return 0
	}
	l, _ := v.home.load.VM(v.facts.Slot)
	return l.P99
}

// tailAt is a VM's tail where it waits a share of the time, 0 if nothing tells.
func (f *fleet) tailAt(v *vm, pain float64) time.Duration {
	p99, all := v.p99(), f.tailsKnown()
	if p99 == 0 {
		return 0
	}
	floor, slope := all.calm, 0.0
	if v.measured < hardlyWaits {
		floor, slope = p99, all.slope
	} else {
		slope = float64(p99) / v.measured.Float()
	}
	return max(floor, time.Duration(float64(slope*pain)))
}

// foreseeTails predicts the VM's tail and the longest on both hosts.
func (f *fleet) foreseeTails(c *candidate, e *cluster.Effect) {
	e.VMP99Before, e.VMP99After = c.vm.p99(), f.tailAt(c.vm, c.targetAfter.guest)
	e.SourceP99Before, e.TargetP99Before = c.source.longestTail(), c.target.longestTail()
	e.SourceP99After = f.longestTailAfter(c.source, nil, c.vm)
	e.TargetP99After = max(f.longestTailAfter(c.target, c.vm, nil), e.VMP99After)
}

func (h *host) longestTail() (longest time.Duration) {
	for _, v := range h.vms {
		if !v.arriving {
			longest = max(longest, v.p99())
		}
	}
	return longest
}

// longestTailAfter is the longest tail of a host's VMs when one has come or
// left.
func (f *fleet) longestTailAfter(h *host, came, left *vm) time.Duration {
	return f.longestTailOf(h, came, left, func(*vm) bool { return true })
}

// longestTailOf is the same of some of its VMs.
func (f *fleet) longestTailOf(h *host, came, left *vm, some func(*vm) bool) (longest time.Duration) {
	level, change := h.level(came, left), 0.0
	if came != nil {
		change = came.work()
	}
	if left != nil {
		change = -left.work()
	}
	for _, v := range h.vms {
		if v != left && some(v) {
			longest = max(longest, f.tailAt(v, v.pain(level, grown(h.work-v.work(), change))))
		}
	}
	return longest
}
