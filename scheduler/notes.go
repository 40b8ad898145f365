package scheduler

import (
	"cmp"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// notes collects what was refused: every refusal is counted, and the
// candidates that would have been best are kept. A VM that may not move counts
// once, a move that may not be or does not pay once per target.
type notes struct {
	count map[cluster.Code]int
	kept  []refused
}

type refused struct {
	candidate
	vmID    string
	refusal *cluster.Refusal
	terms   []cluster.ScoreTerm // of the best alone, see judge
}

func newNotes() *notes { return &notes{count: map[cluster.Code]int{}} }

// refuse notes a candidate that a filter or its gain stopped. Memory stays
// bounded: now and then all but the best are dropped.
func (n *notes) refuse(c candidate, vm string, r *cluster.Refusal) {
	n.count[r.Code]++
	n.kept = append(n.kept, refused{candidate: c, vmID: vm, refusal: r})
	if len(n.kept) >= 32*cluster.MaxCandidates {
		n.trim()
	}
}

// trim keeps the best: those with a prediction by score, then the others.
func (n *notes) trim() {
	slices.SortStableFunc(n.kept, func(a, b refused) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.score, b.score),
			cmp.Compare(a.source.id, b.source.id), cmp.Compare(a.vmID, b.vmID), cmp.Compare(a.targetID(), b.targetID()))
	})
	n.kept = n.kept[:min(len(n.kept), cluster.MaxCandidates)]
}

// judge keeps the terms of the best one's score, while the fleet is still as they
// were looked at.
func (n *notes) judge(f *fleet) {
	n.trim()
	for i := range n.kept {
		n.kept[i].terms = nil
	}
	if len(n.kept) > 0 && n.kept[0].predicted() {
		n.kept[0].terms = f.terms(&n.kept[0].candidate)
	}
}

func (r refused) rank() int {
	switch {
	case r.predicted():
		return 0
	case r.vm != nil:
		return 1
	}
	return 2
}

func (c candidate) predicted() bool { return c.target != nil && c.target.unknown == nil }

func (c candidate) targetID() string {
	if c.target == nil {
		return ""
	}
	return c.target.id
}

// best are the candidates that would have been best, as records.
func (n *notes) best(f *fleet) []cluster.Candidate {
	n.trim()
	var out []cluster.Candidate
	for _, k := range n.kept {
		c := cluster.Candidate{VM: k.vmID, Source: k.source.id, Target: k.targetID(), Code: k.refusal.Code, Text: k.refusal.Text, Rule: k.refusal.Rule, Score: k.terms}
		if k.predicted() {
			c.Predicted = f.effect(k.candidate)
		}
		out = append(out, c)
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

// summary is why nothing moves off a host that calls for relief: the reason
// of the candidate that would have been best.
func (n *notes) summary(call string) (cluster.Code, string) {
	n.trim()
	if len(n.kept) == 0 {
		return cluster.CodeNoTarget, call + ", and no VM of it could be moved"
	}
	best := n.kept[0].refusal
	return best.Code, call + ": " + best.Text
}
