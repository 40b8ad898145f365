package cluster

import (
	"slices"
	"testing"
	"time"
)

// A host is told which of its VMs the newest decision weighed, those that
// should move first, each once, not too many; and nothing of a decision that
// nobody has come back to for a minute.
func TestCandidatesOfAView(t *testing.T) {
	of := func(vm, source string) Candidate { return Candidate{VM: vm, Source: source} }
	d := Decision{LastAt: epoch, Proposed: []Candidate{of("b", hv1), of("x", hv2)}}
	for _, vm := range []string{"a", "b", "c", "d", "e", "f"} {
		d.Refused = append(d.Refused, of(vm, hv1))
	}
	s := State{}
	s.Now, s.LastDecision = epoch, 7
	s.decisions = s.decisions.set(7, d)
	if got := s.ViewFor(hv1).Candidates; !slices.Equal(got, []string{"b", "a", "c", "d"}) {
		t.Errorf("hv1 is asked to look at %v", got)
	}
	if got := s.ViewFor(hv2).Candidates; !slices.Equal(got, []string{"x"}) {
		t.Errorf("hv2 is asked to look at %v", got)
	}
	s.Now = epoch.Add(time.Minute + 1)
	if got := s.ViewFor(hv1).Candidates; len(got) != 0 {
		t.Errorf("a minute later: %v", got)
	}
}
