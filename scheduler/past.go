package scheduler

import (
	"math"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What a host does now is one draw from what it does. A target may be quiet for
// a moment only, and two VMs that peak together are worse neighbours than two
// that alternate. The ring of minutes knows: a move is also judged by what it
// would have done to each minute of the past hour, in which the demands of all
// VMs are taken together, as they were.
//
// How much the present counts against the past is how long it is likely to
// last: as long again as it has lasted so far. Within the cooldown, in which the
// VM cannot be moved again, the rest of the time is taken to be like the past.
//
// Worked: cooldown 30 min, an excess of 6 min, so the present counts 0.2. A move
// takes the worst from 50 % to 10 % now. Its target was full in half of the
// past hour, and the VM would have made its worst 30 points worse then, while
// the source was calm: 0.2 × 40 − 0.8 × 15 = −4 points. It would not help.

// pastMinutes is how far back the past is looked at.
const pastMinutes = cluster.MaxMinutes

// unknownMinute stands for a minute of which nothing is known.
const unknownMinute = math.MinInt32

// minutes are CPUs asked for, in thousandths, by how many minutes ago.
type minutes [pastMinutes]cluster.MilliCPU

// hour is the worst pain on a host in each minute, by class, by how long ago it was.
type hour [pastMinutes]float64

// ring is what is known of a host's past.
type ring struct {
	rest     minutes             // what no VM asked for
	vms      map[uint32]*minutes // by slot
	suffered time.Duration       // for so long, up to now, more than the exit threshold
	worst    *hour               // with the VMs that it has now; nil: not reckoned yet
}

// past reads a host's ring of minutes, once.
func (f *fleet) past(h *host) *ring {
	if h.ring != nil {
		return h.ring
	}
	h.ring = &ring{rest: noMinutes(), vms: map[uint32]*minutes{}}
	for _, m := range h.state.Minutes() {
		if h.ring.suffered += time.Minute; m.Pain <= f.set.Exit {
			h.ring.suffered = 0
		}
		ago := int(int64(f.state.Now)/int64(time.Minute) - int64(m.At)/int64(time.Minute))
		if ago >= 0 && ago < pastMinutes {
			h.recall(m, ago)
		}
	}
	return h.ring
}

// recall notes what was asked for in a minute.
func (h *host) recall(m cluster.Minute, ago int) {
	rest := m.Use
	for _, l := range m.VMs {
		rest -= l.Run
		h.ring.of(l.Slot)[ago] = l.Run + cluster.MilliCPU(int64(l.Pain)*int64(h.vcpusOf(l.Slot))/1000)
	}
	h.ring.rest[ago] = max(rest, 0)
}

func noMinutes() (m minutes) {
	for i := range m {
		m[i] = unknownMinute
	}
	return m
}

func (r *ring) of(slot uint32) *minutes {
	if r.vms[slot] == nil {
		m := noMinutes()
		r.vms[slot] = &m
	}
	return r.vms[slot]
}

func (h *host) vcpusOf(slot uint32) int {
	facts, _ := h.state.Inventory.BySlot(slot)
	return facts.VCPUs
}

// remember finds what is known of a VM's past.
func (f *fleet) remember(v *vm) *minutes {
	if v.then == nil && v.home != nil {
		v.then = f.past(v.home).of(v.facts.Slot)
	}
	return v.then
}

// demandThen is what a VM asked for some minutes ago, at most all that its
// vCPUs can.
// Nothing being known of it then, it asks for what it asks for now: it is here
// to stay.
func (f *fleet) demandThen(v *vm, ago int) cluster.MilliCPU {
	if m := f.remember(v); m != nil && m[ago] != unknownMinute {
		return min(m[ago], v.atMost())
	}
	return cluster.MilliCPU(v.demand*1000 + 0.5)
}

// worstThen is what the VM of a host that suffered most would have waited in
// each known minute, as a share of wall time, had one VM come and another left.
func (f *fleet) worstThen(h *host, came, left *vm) *hour {
	out := &hour{}
	crowd := make([]thread, 0, len(h.vms)+2)
	own := int64(max(h.cpus+0.5, 1))
	for ago, rest := range f.past(h).rest {
		if rest == unknownMinute {
			continue
		}
		crowd = append(crowd[:0], thread{min(rest, 1000*cluster.MilliCPU(own)), own, own * int64(cluster.UsualShares), 0})
		for _, v := range h.vms {
			if v != left {
				crowd = append(crowd, f.threadThen(v, ago))
			}
		}
		if came != nil {
			crowd = append(crowd, f.threadThen(came, ago))
		}
		out[ago] = worstOf(crowd, h.load.CPUs)
	}
	return out
}

// worstAsIs is the same with the VMs that the host has.
func (f *fleet) worstAsIs(h *host) *hour {
	r := f.past(h)
	if r.worst == nil {
		r.worst = f.worstThen(h, nil, nil)
	}
	return r.worst
}

// thread is a VM, or the host itself, among those that share its CPUs.
type thread struct {
	demand cluster.MilliCPU
	vcpus  int64
	shares int64   // of all its vCPUs, in hundredths of the usual
	counts float64 // what its wait counts by its class; 0 for the host itself, which takes CPU and hurts nobody by waiting
}

func (f *fleet) threadThen(v *vm, ago int) thread {
	return thread{f.demandThen(v, ago), int64(v.vcpus), int64(math.Round(v.allShares() * float64(cluster.UsualShares))), v.weight.worst}
}

// worstOf is by how much the VM that is served least is short, per vCPU. Its
// sums are of integers, so that the order of VMs has no part in them.
func worstOf(crowd []thread, cpus cluster.MilliCPU) float64 {
	free, shares := int64(cpus), int64(0)
	var asked int64
	for _, t := range crowd {
		shares += t.shares
		asked += int64(t.demand)
	}
	if asked <= free {
		return 0
	}
	// Those who ask for less than their part are served, and the others share
	// what they leave; until nobody is left who asks for less.
	for rest := crowd; ; {
		hungry := rest[:0]
		gave, gone := int64(0), int64(0)
		for _, t := range rest {
			if int64(t.demand)*shares <= max(free, 0)*t.shares {
				gave, gone = gave+int64(t.demand), gone+t.shares
			} else {
				hungry = append(hungry, t)
			}
		}
		if gone == 0 || len(hungry) == 0 {
			return shortest(hungry, free, shares)
		}
		rest, free, shares = hungry, free-gave, shares-gone
	}
}

func shortest(hungry []thread, free, shares int64) float64 {
	worst := 0.0
	for _, t := range hungry {
		gets := float64(float64(t.shares)/float64(t.vcpus)*float64(max(free, 0))) / float64(shares)
		worst = max(worst, float64(t.counts*(float64(t.demand)/float64(t.vcpus)-gets)/1000))
	}
	return worst
}

// thenWithout is a host's past without one of its VMs, nil if nothing is known
// of the VM or the policy does not look back. It is the same for all targets.
func (f *fleet) thenWithout(source *host, v *vm) *hour {
	if p, _ := policyOf(f.policy); !p.recalls || f.remember(v) == nil {
		return nil
	}
	return f.worstThen(source, nil, v)
}

// lookBack judges a move by the past as well, and says why it would not help,
// or nil.
func (f *fleet) lookBack(c *candidate, without *hour) *cluster.Refusal {
	if without != nil {
		f.recallPast(c, without)
	}
	if c.past == nil {
		return nil
	}
	c.score = score(c)
	return wouldHaveHelped(c)
}

// recallPast judges a move by the past, if enough minutes are known of both ends
// and of the VM.
func (f *fleet) recallPast(c *candidate, without *hour) {
	v, source, target := f.remember(c.vm), f.past(c.source), f.past(c.target)
	here, there, with := f.worstAsIs(c.source), f.worstAsIs(c.target), f.worstThen(c.target, c.vm, nil)
	p := pastView{present: f.lasting(c.source)}
	for ago := range pastMinutes {
		if v[ago] == unknownMinute || source.rest[ago] == unknownMinute || target.rest[ago] == unknownMinute {
			continue
		}
		p.minutes++
		p.before += max(here[ago], there[ago])
		p.after += max(without[ago], with[ago])
	}
	if p.minutes < floorMinutes {
		return
	}
	p.before /= float64(p.minutes)
	p.after /= float64(p.minutes)
	c.past = &p
}

// pastView is what a move would have done to the worst pain, on average over
// the minutes that are known.
type pastView struct {
	minutes       int
	before, after float64 // shares of wall time
	present       float64 // how much of the time to come is taken to be like the present
}

// expected is the worst pain after the move as it is expected to come, given
// what it would be now.
func (p *pastView) expected(now float64) float64 {
	if p == nil {
		return now
	}
	return p.mix(now, p.after)
}

// mix weighs a figure of the present and its like of the past.
func (p *pastView) mix(now, past float64) float64 {
	return float64(p.present*now) + float64((1-p.present)*past)
}

// lasting is the share of the cooldown for which a host's suffering is likely
// to go on: it has lasted for so long, and goes on for as long again.
func (f *fleet) lasting(h *host) float64 {
	if f.set.Cooldown <= 0 {
		return 1
	}
	lasted := f.set.Sustained()
	if h.state.ExcessSince != 0 {
		lasted = max(lasted, f.state.Now.Sub(h.state.ExcessSince))
	}
	lasted = max(lasted, f.past(h).suffered)
	return min(lasted.Seconds()/f.set.Cooldown.Seconds(), 1)
}

// wouldHaveHelped refuses a move whose gain now is outweighed by what it would
// have done in the past hour.
func wouldHaveHelped(c *candidate) *cluster.Refusal {
	p := c.past
	if p == nil || p.mix(c.before.Float(), p.before) > p.mix(c.after.Float(), p.after) {
		return nil
	}
	return no(cluster.CodeWouldNotHelp, "%s to %s: %s now, but %v -> %v over the past %d min",
		c.vm.name, c.target.name, c.worst(), ppm(p.before), ppm(p.after), p.minutes)
}
