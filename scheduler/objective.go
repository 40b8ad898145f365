package scheduler

import (
	"math"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// objective is all that a move is judged by, once filters let it be judged:
// the sum of weight × term, the less the better. A weight is what one unit of
// the term is worth in points of worst steal.
//
// The worst steal leads. What all VMs together wait decides between moves that
// leave the same VM worst: two targets may leave the source's worst the same,
// and hurt many or nobody. The target's use prefers room to spare, and memory
// the cheaper copy: 10 GiB more to copy must be repaid by half a point.
var objective = []struct {
	name   string
	weight float64
	term   func(*candidate) float64
}{
	{"worst contention after, points", 1, func(c *candidate) float64 { return 100 * max(c.sourceAfter.worst, c.targetAfter.worst) }},
	{"CPUs waited for, more than before", 0.5, func(c *candidate) float64 {
		return c.sourceAfter.sum + c.targetAfter.sum - c.source.now.sum - c.target.now.sum
	}},
	{"CPUs asked per CPU of the target", 0.1, func(c *candidate) float64 { return (c.target.work + c.vm.work()) / c.target.cpus }},
	{"memory to copy, GiB", 0.05, func(c *candidate) float64 { return float64(c.vm.facts.MaxMemory) / float64(cluster.GiB) }},
}

// score is in millionths of a point: rounded, so that equal moves score equal
// in whatever order their terms were summed.
func score(c *candidate) int64 {
	var sum float64
	for _, t := range objective {
		sum += float64(t.weight * t.term(c))
	}
	return int64(math.Round(sum * 1e6))
}
