package sim

import (
	"math"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Overlay is work that comes on top of traces, whose samples are means of
// minutes and know nothing shorter: a burst, a boot storm, a nightly backup. It
// comes to each of its VMs once in each period, at a time drawn within the
// spread.
type Overlay struct {
	Name   string
	At     time.Duration // the first period begins then
	Every  time.Duration // period
	For    time.Duration // how long it lasts on a VM
	Spread time.Duration // over which its VMs begin
	VMs    cluster.Ratio // share of the VMs that have it
	CPU    cluster.Ratio // of each vCPU, on top of the trace
}

// course is what a VM with a trace asks for, as it goes.
type course struct {
	seed     uint64
	overlays []Overlay // that come to this VM
	asks     cluster.MilliCPU
	until    time.Duration // when that changes
}

func (c *course) begin(s *Scenario, g *guest) {
	c.seed = mix(s.Seed, uint64(g.slot))
	for i, o := range s.Overlays {
		if chance(c.seed, uint64(i), 0) < o.VMs.Float() {
			c.overlays = append(c.overlays, o)
		}
	}
}

// follow lets the work of a tick come in. It comes vCPU by vCPU: of 2.3 CPUs two
// vCPUs are busy all the time, and a third in three ticks of ten, by chance. The
// chance is the VM's own, so the same work comes under every policy.
func (g *guest) follow(now, tick time.Duration) {
	c := &g.course
	if now >= c.until {
		c.asks, c.until = g.asks(now)
	}
	work := time.Duration(c.asks) * tick / 1000
	whole := work / tick * tick
	if rest := work - whole; rest > 0 && chance(c.seed, uint64(now), 1)*float64(tick) < float64(rest) {
		whole += tick
	}
	all := time.Duration(g.VCPUs)
	g.late = min(g.late+whole, all*maxBacklog)
	g.active = min(int((g.late+tick-1)/tick), g.VCPUs)
	g.wants = 0
	if g.active > 0 && !g.paused {
		g.wants = min(g.late/time.Duration(g.active), tick)
	}
}

// asks is what the VM asks for at a time, and until when.
func (g *guest) asks(now time.Duration) (cluster.MilliCPU, time.Duration) {
	t := g.Trace
	n := int64(now / t.Every)
	sum, until := t.CPU[n%int64(len(t.CPU))], time.Duration(n+1)*t.Every
	for i := range g.course.overlays {
		o := &g.course.overlays[i]
		begins, ends := o.span(g.course.seed, i, now)
		if begins <= now && now < ends {
			sum += cluster.MilliCPU(int64(o.CPU) * int64(g.VCPUs) * 1000 / int64(cluster.Whole))
			until = min(until, ends)
		} else if begins > now {
			until = min(until, begins)
		}
	}
	return min(sum, cluster.MilliCPU(g.VCPUs)*1000), until
}

// span is when an overlay lasts on a VM: now, or next in this period or the
// following one.
func (o *Overlay) span(seed uint64, nth int, now time.Duration) (begins, ends time.Duration) {
	k := max(int64((now-o.At)/o.Every)-1, 0)
	for ; ; k++ {
		begins = o.At + time.Duration(k)*o.Every + time.Duration(chance(seed, uint64(nth)+2, uint64(k))*float64(o.Spread))
		if ends = begins + o.For; ends > now {
			return begins, ends
		}
	}
}

// mix makes a number of two that depends on both: SplitMix64's step.
func mix(a, b uint64) uint64 {
	n := a + 0x9e3779b97f4a7c15*(b+1)
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// chance is a number from 0 up to 1 that depends on three.
func chance(a, b, c uint64) float64 {
	return math.Ldexp(float64(mix(mix(a, b), c)>>11), -53)
}
