package cgroup

import "math/bits"

// Own is how many thousandths of a CPU the VM's own quotas leave its vCPUs:
// the least of what its groups allow and of what its vCPUs' groups allow
// together, where a vCPU without a quota counts as a whole CPU, which is all
// that one thread can use. Without any quota it is not limited.
//
//	two vCPUs at 50 % each, the VM at 200 %:      1000
//	one vCPU at 30 %, one without:                1300
//	four vCPUs without, the VM at 150 %:          1500
func (l Limits) Own() (milli int64, limited bool) {
	var sum int64
	for _, v := range l.VCPU {
		if one := v.Quota.MilliCPU(); v.Quota.Limited() && one < 1000 {
			sum, limited = sum+one, true
			continue
		}
		sum += 1000
	}
	if !limited {
		return least(l.VM)
	}
	if vm, also := least(l.VM); also {
		sum = min(sum, vm)
	}
	return sum, true
}

// Shared is what the slices above leave to all that is in them, this VM
// included.
func (l Limits) Shared() (milli int64, limited bool) { return least(l.Slices) }

func least(levels []Level) (milli int64, limited bool) {
	for _, level := range levels {
		if !level.Quota.Limited() {
			continue
		}
		if m := level.Quota.MilliCPU(); !limited || m < milli {
			milli = m
		}
		limited = true
	}
	return milli, limited
}

// Growth is how long quotas held groups back between two readings.
type Growth struct{ OwnNS, SlicesNS uint64 }

// Since compares with an earlier reading of the same VM. A counter that fell
// (the group was made anew) begins at 0.
func (l Limits) Since(before Limits) Growth {
	return Growth{
		OwnNS:    grown(l.VCPU, before.VCPU) + grown(l.VM, before.VM),
		SlicesNS: grown(l.Slices, before.Slices),
	}
}

func grown(now, before []Level) (ns uint64) {
	was := make(map[string]uint64, len(before))
	for _, l := range before {
		was[l.Path] = l.Throttle.TimeNS
	}
	for _, l := range now {
		then, seen := was[l.Path]
		switch {
		case !l.Throttle.Known || !seen: // a group just met tells nothing of the time between
		case l.Throttle.TimeNS >= then:
			ns += l.Throttle.TimeNS - then
		default:
			ns += l.Throttle.TimeNS
		}
	}
	return ns
}

// SplitQuota divides the time for which a VM's vCPUs were throttled, as the
// kernel counts it in their waits, between the VM's own quotas and those of the
// slices above, in proportion to how long each held its groups back. The two
// parts make up the whole. The proportion is an estimate: a slice's time counts
// CPUs on which other VMs of the slice were held back, too. Where neither grew
// (the throttling has not ended yet), whoever alone has a quota did it; else
// it is the VM's own.
func SplitQuota(throttledNS uint64, g Growth, l Limits) (own, slices uint64) {
	switch {
	case g.SlicesNS == 0 && g.OwnNS == 0:
		_, byOwn := l.Own()
		if _, bySlice := l.Shared(); bySlice && !byOwn {
			return 0, throttledNS
		}
		return throttledNS, 0
	case g.SlicesNS == 0:
		return throttledNS, 0
	case g.OwnNS == 0:
		return 0, throttledNS
	}
	sum, carry := bits.Add64(g.OwnNS, g.SlicesNS, 0)
	part := g.OwnNS
	if carry != 0 {
		sum, part = sum>>1|1<<63, part>>1
	}
	hi, lo := bits.Mul64(throttledNS, part)
	own, _ = bits.Div64(hi, lo, sum) // part < sum, so hi < sum
	return own, throttledNS - own
}
