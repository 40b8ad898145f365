package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// notes collects what was refused: every refusal is counted, the best
// candidates are kept.
type notes struct {
	count      map[cluster.Code]int
	candidates []refused
}

type refused struct {
	cluster.Candidate
	gain float64 // the more it would have helped the more it is worth telling
}

func newNotes() *notes { return &notes{count: map[cluster.Code]int{}} }

// refuse notes a candidate that a filter or its score stopped. Memory stays
// bounded: now and then all but the best are dropped.
func (n *notes) refuse(vm, source, target string, r *cluster.Refusal, gain float64) {
	n.count[r.Code]++
	n.candidates = append(n.candidates, refused{cluster.Candidate{VM: vm, Source: source, Target: target, Code: r.Code, Text: r.Text}, gain})
	if len(n.candidates) >= 1024 {
		n.trim()
	}
}

func (n *notes) trim() {
	slices.SortStableFunc(n.candidates, func(a, b refused) int {
		return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.VM, b.VM), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Code, b.Code))
	})
	n.candidates = n.candidates[:min(len(n.candidates), cluster.MaxCandidates)]
}

func (n *notes) best() []cluster.Candidate {
	n.trim()
	var out []cluster.Candidate
	for _, c := range n.candidates {
		out = append(out, c.Candidate)
	}
	return out
}

func (n *notes) counts() []cluster.CodeCount {
	var out []cluster.CodeCount
	for code, k := range n.count {
		out = append(out, cluster.CodeCount{Code: code, N: k})
	}
	slices.SortFunc(out, func(a, b cluster.CodeCount) int { return cmp.Compare(a.Code, b.Code) })
	return out
}

// summary is why nothing moves off a suffering host: the reason of the best
// refused candidate.
func (n *notes) summary(source *host) (cluster.Code, string) {
	best := n.best()
	if len(best) == 0 {
		return cluster.CodeNoTarget, fmt.Sprintf("%s suffers %v and has no VM that could be measured", source.name, source.pain)
	}
	return best[0].Code, fmt.Sprintf("%s suffers %v: %s", source.name, source.pain, best[0].Text)
}
