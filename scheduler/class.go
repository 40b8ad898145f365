package scheduler

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What a VM waits counts by its class, see docs/rules.md.
//
// Worked: on a full host web waits 30 % and pbx, of class latency, 20 %. pbx
// leads: it counts 40 points, web 30. A target where web would wait nothing and a
// latency VM there 16 % is refused: 32 points is more than web's 30. Were the
// VM there of class batch, it might wait 90 %.

// classWeight is how often a VM's waiting counts.
type classWeight struct {
	class cluster.Class
	worst float64 // where the VM that suffers most is looked for: what a move must lower
	sum   float64 // in what all VMs together wait: what decides between moves
}

// classWeights is the table.
//
// A phone call or a database that others wait for breaks at waits that a page's
// reader does not notice: half as much hurts as much. Batch work is meant to wait,
// so its wait is never a reason for a move and holds none back; it ends later all
// the same, so among moves that are equal otherwise one that delays less of it is
// better, by a tenth: ten CPUs of batch work that wait are as bad as one of other work.
var classWeights = []classWeight{
	{cluster.ClassLatency, 2, 2},
	{cluster.ClassNormal, 1, 1},
	{cluster.ClassBatch, 0, 0.1},
}

func weightOf(class cluster.Class) classWeight {
	for _, w := range classWeights {
		if w.class == class {
			return w
		}
	}
	return weightOf(cluster.ClassNormal)
}

// tailChange is by how much longer the longest tail (p99 of single waits) of the
// latency VMs of both ends is after a move, negative if shorter; 0 if there are
// none, or theirs are not known. See foresee.go for how tails are predicted.
func (f *fleet) tailChange(c *candidate) time.Duration {
	if !c.source.latency && !c.target.latency {
		return 0
	}
	before := max(f.latencyTail(c.source, nil, nil), f.latencyTail(c.target, nil, nil))
	after := max(f.latencyTail(c.source, nil, c.vm), f.latencyTail(c.target, c.vm, nil))
	if c.vm.weight.class == cluster.ClassLatency {
		after = max(after, f.tailAt(c.vm, c.targetAfter.guest))
	}
	return after - before
}

// latencyTail is the longest tail of a host's latency VMs when one VM has come
// or left.
func (f *fleet) latencyTail(h *host, came, left *vm) time.Duration {
	if !h.latency {
		return 0
	}
	return f.longestTailOf(h, came, left, func(v *vm) bool { return v.weight.class == cluster.ClassLatency })
}
