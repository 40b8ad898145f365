package cluster

import (
	"bytes"
	"strings"
	"testing"
)

// Whatever differs in the past differs in the digest: an entry's bytes, its
// place, its term, what came before it. What is only tried out does not count,
// a State that was saved goes on where it was, and a digest in a decision must
// be one.
func TestChain(t *testing.T) {
	c := Command{Level: 1, Actor: byOperator, At: epoch, Body: SetMode{Mode: ModeOff}}
	entry, err := EncodeCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(s State, m Meta) State {
		next, err := s.Apply(m, c)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	seen := map[Chain]string{"": "nothing"}
	for name, s := range map[string]State{
		"one":           apply(New(testCluster), Meta{Index: 1, Term: 1, Entry: entry}),
		"another place": apply(New(testCluster), Meta{Index: 2, Term: 1, Entry: entry}),
		"another term":  apply(New(testCluster), Meta{Index: 1, Term: 2, Entry: entry}),
		"other bytes":   apply(New(testCluster), Meta{Index: 1, Term: 1, Entry: append(bytes.Clone(entry), ' ')}),
		"two":           apply(apply(New(testCluster), Meta{Index: 1, Term: 1, Entry: entry}), Meta{Index: 2, Term: 1, Entry: entry}),
	} {
		if other := seen[s.Chain]; other != "" || !s.Chain.valid() {
			t.Errorf("%s: %q, that of %s", name, s.Chain, other)
		}
		seen[s.Chain] = name
	}
	s := apply(New(testCluster), Meta{Index: 1, Term: 1, Entry: entry})
	if tried := apply(s, Meta{Index: 2, Term: 1}); tried.Chain != s.Chain {
		t.Error("what was only tried out counts")
	}
	var file bytes.Buffer
	if err := s.Encode(&file); err != nil {
		t.Fatal(err)
	}
	back, err := DecodeState(&file)
	if err != nil || back.Chain != s.Chain {
		t.Errorf("saved %q, read %q, %v", s.Chain, back.Chain, err)
	}
	for _, bad := range []Chain{"12", "xyz", Chain(strings.Repeat("a", 63)), Chain(strings.Repeat("a", 66))} {
		d := Decision{ID: s.NextDecisionID(), Result: ResultNothing, Input: bad}
		if r := RefusalOf(d.check(&s)); r == nil || r.Code != CodeAbsurdFigure {
			t.Errorf("%q: %v", bad, r)
		}
	}
}
