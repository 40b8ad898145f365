package scheduler

import (
	"math"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// objective is all that a move is judged by, once filters let it be judged:
// the sum of weight × term, the less the better. A weight is what one unit of
// the term is worth in points of worst steal.
//
// The worst steal leads, by the weights of the VMs' classes (class.go). What all VMs together wait decides between moves that
// leave the same VM worst: two targets may leave the source's worst the same,
// and hurt many or nobody. The target's use prefers room to spare, and memory
// the cheaper copy; a rule that should hold is worth five points of the worst, and
// so is another host than one that the VM left within a day: it left for a reason.
// 10 GiB more to copy must be repaid by half a point. A tail of a latency VM that is
// longer by 20 ms, which is one packet of a phone call, is as bad as ten points.
var objective = []struct {
	name   string
	weight float64
	term   func(*candidate) float64
}{
	{"worst contention after by class, points", 1, func(c *candidate) float64 {
		return 100 * c.past.expected(max(c.sourceAfter.worstWeighed, c.targetAfter.worstWeighed))
	}},
	{"CPUs waited for by class, more than before", 0.5, func(c *candidate) float64 {
		return c.sourceAfter.sumWeighed + c.targetAfter.sumWeighed - c.source.now.sumWeighed - c.target.now.sumWeighed
	}},
	{"longest p99 of a latency VM, ms more than before", 0.5, func(c *candidate) float64 { return c.tail.Seconds() * 1000 }},
	{"CPUs asked per CPU of the target", 0.1, func(c *candidate) float64 { return (c.target.work + c.vm.work()) / c.target.cpus }},
	{"rules bent, more than before", 5, func(c *candidate) float64 { return float64(c.bent) }},
	{"back to a host that it left within a day", 5, func(c *candidate) float64 {
		if c.returns {
			return 1
		}
		return 0
	}},
	{"memory to copy, GiB", 0.05, func(c *candidate) float64 { return float64(c.vm.facts.MaxMemory) / float64(cluster.GiB) }},
}

// scored says whether moves are chosen by the objective: policy demand does, and
// what an operator asks for.
func (f *fleet) scored() bool {
	p, _ := policyOf(f.policy)
	return f.asked || p.recalls
}

// terms are what a candidate's score consists of, nil if it was not chosen by it.
func (f *fleet) terms(c *candidate) []cluster.ScoreTerm {
	if !f.scored() {
		return nil
	}
	var out []cluster.ScoreTerm
	for _, t := range objective {
		out = append(out, cluster.ScoreTerm{Name: t.name, Points: cluster.MicroPoints(math.Round(float64(t.weight*t.term(c)) * 1e6))})
	}
	return out
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
