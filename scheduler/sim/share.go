package sim

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Claim is what a VM asks of the host that it shares.
type Claim struct {
	VCPUs int
	CPU   cluster.MilliCPU // of all its vCPUs; more than they can use counts as all they can
	// Shares are those of each vCPU, 0 for the usual ones.
	Shares cluster.Shares
}

// Part is what a VM gets.
type Part struct {
	Run  cluster.MilliCPU // of all its vCPUs
	Wait cluster.MilliCPU // runnable and not running, of all its vCPUs
}

// slack is so little of a tick that what lacks it is rounding, not hunger.
const slack = 10 * time.Microsecond

// Share divides so much CPU between VMs as a machine of a simulated fleet
// does: by processor sharing, in rounds of parts that are equal for equal shares. Work comes evenly and
// for ever, so a VM whose work cannot be done is runnable all the time, and one
// whose work can be done waits for nothing. What bursts collide within the time
// that a claim is a mean of is not in it.
//
// Worked: 2 CPUs for three VMs of one vCPU that want 1, 0.9 and 0.3 CPUs. The
// last gets its 0.3, the others 0.85 each: they wait 0.15.
func Share(room cluster.MilliCPU, claims []Claim) []Part {
	m := machine{Host: Host{CPUs: max(room, 0)}, guests: make([]*guest, len(claims))}
	for i, c := range claims {
		g := &guest{VM: VM{VCPUs: max(c.VCPUs, 1), Shares: c.Shares}}
		g.active = g.VCPUs
		g.late = min(time.Duration(c.CPU)*tick/time.Duration(g.VCPUs)/1000, tick)
		g.wants = max(g.late, 0)
		m.guests[i] = g
	}
	m.work(tick)
	out := make([]Part, len(claims))
	for i, g := range m.guests {
		if g.wants-g.got <= slack {
			g.wait, g.run = 0, g.wants
		}
		out[i] = Part{Run: cpus(g.run, tick, g.VCPUs), Wait: cpus(g.wait, tick, g.VCPUs)}
	}
	return out
}
