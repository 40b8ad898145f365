package agent

import "time"

// pollers notices vCPUs that never sleep: a guest with idle=poll, or one that
// polls its network cards (DPDK), uses whole CPUs whatever it has to do. What
// they run is no measure of what they need, and no host is large enough to
// calm them; so such a VM is marked. A guest that computes for half an hour
// without a pause on most of its vCPUs looks the same from outside, so the
// mark is a hint for an operator and takes nothing from the VM.
type pollers struct {
	vcpus map[int]awake // by thread id
}

type awake struct {
	voluntary uint64        // switches by which it left its CPU itself
	seen      time.Duration // when that was read
	since     time.Duration // it has not slept since
}

const (
	// pollsAfter is how long a vCPU must not have slept.
	pollsAfter = 30 * time.Minute
	// pollSleeps is how often in a second a vCPU that never halts may still
	// leave its CPU by itself: QEMU's own locks. A guest that halts does so
	// at each of its clock's ticks, 100 times a second and more, or sleeps
	// through.
	pollSleeps = 1
	// alwaysBusy is how much of the time, in thousandths, a vCPU that polls runs
	// or wants to run.
	alwaysBusy = 990
)

// note takes in how often a vCPU's thread has left its CPU by itself so far
// (procfs.Switches), and how much of the time since the last note it ran or
// wanted to run, in thousandths. Both are needed: who sleeps through the whole
// time leaves its CPU never.
func (p *pollers) note(tid int, now time.Duration, voluntary uint64, busyMilli int64) {
	was, known := p.vcpus[tid]
	next := awake{voluntary, now, was.since}
	slept := float64(less(voluntary, was.voluntary)) > pollSleeps*max(1, (now-was.seen).Seconds())
	if !known || voluntary < was.voluntary || slept || busyMilli < alwaysBusy {
		next.since = now
	}
	if p.vcpus == nil {
		p.vcpus = map[int]awake{}
	}
	p.vcpus[tid] = next
}

// poller says whether at least half of a VM's vCPUs poll.
func (p *pollers) poller(vcpus []int, now time.Duration) bool {
	online, polling := 0, 0
	for _, tid := range vcpus {
		if tid <= 0 {
			continue
		}
		online++
		if a, known := p.vcpus[tid]; known && now-a.since >= pollsAfter && now-a.seen < pollsAfter {
			polling++
		}
	}
	return online > 0 && 2*polling >= online
}

// keep forgets threads that are not among these.
func (p *pollers) keep(tids map[int]bool) {
	for tid := range p.vcpus {
		if !tids[tid] {
			delete(p.vcpus, tid)
		}
	}
}

// useful is what of a VM's run time within a span was not halt polling: KVM
// lets an idle vCPU spin for a while before it sleeps, and that counts as run.
// The demand of a VM is made of this. Both counters are read at slightly
// different moments, so polling may seem to exceed running.
func useful(runNS, pollNS uint64) uint64 { return less(runNS, pollNS) }
