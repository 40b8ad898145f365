package scheduler

import (
	"math"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// shortBy is by how many CPUs, in percent of those that the known hosts have,
// more must be asked for before they count as too few: less is within what
// demands are estimated by.
const shortBy = 1

// capacityShort says by how many CPUs the known hosts are asked for more than
// they have, or nil if they are not. Where no move would help either, it is
// the better reason: someone waits wherever VMs are, and only more CPUs, or
// less work, would change that. What is asked for is an estimate: a vCPU that is
// late with its work looks as if it wanted a whole CPU. Hosts of which nothing
// is known count neither way.
func (f *fleet) capacityShort() *cluster.Refusal {
	var asked, have cluster.MilliCPU // whole numbers: their sum has no order
	known := 0
	for _, h := range f.hosts {
		if h.unknown == nil {
			asked += cluster.MilliCPU(math.Round(h.work * 1000))
			have += h.load.CPUs
			known++
		}
	}
	if 100*asked <= (100+shortBy)*have {
		return nil
	}
	return no(cluster.CodeCapacityShort, "%.1f CPUs are asked for, %d known hosts have %.1f: about %.1f too few",
		asked.CPUs(), known, have.CPUs(), (asked - have).CPUs())
}
