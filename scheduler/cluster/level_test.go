package cluster

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// lived is a State in which much has happened, at feature level 1.
func lived(t *testing.T) State {
	w := newWorld(t)
	w.done()
	w.must(byOperator, Pause{Until: w.s.Now.Add(60e9), Text: "lunch"})
	w.must(byOperator, Resume{Text: "back"})
	w.refuses(CodeUnknownMove, byOperator, Cancel{"m-99", "no such move"})
	w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: RuleSpec{Name: "db-spread", Kind: RuleAntiAffinity, VMs: []string{"db-*", vmA}}}}, Text: "replicas"})
	w.must(byLeader, Freeze{"silence", w.s.Now.Add(60e9)})
	return w.s
}

// TestStateBytes holds the form of a State at rest: an FSM snapshot that an
// older version wrote must be read for ever, and at level 1 a newer version
// writes what the older ones read. The tests of the next version (see
// level_next.go) read the same file.
func TestStateBytes(t *testing.T) {
	const golden = "testdata/state.golden"
	got := encoded(t, lived(t))
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("a State's bytes changed, other versions would read them differently: %d bytes, were %d; from byte %d on\n%.200q\nwas\n%.200q",
			len(got), len(want), at, got[at:], want[at:])
	}
	back, err := DecodeState(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if again := encoded(t, back); !bytes.Equal(again, want) {
		t.Errorf("a State of %d bytes comes back as %d others", len(want), len(again))
	}
}

// What came with this version's first level needs no more; what says that it
// needs more is refused before it changes anything.
func TestNeeds(t *testing.T) {
	s := lived(t)
	for _, body := range samples() {
		if need := (Command{Body: body}).Needs(); need != 1 {
			t.Errorf("%s needs level %d", body.kind(), need)
		}
	}
	before := encoded(t, s)
	after, err := s.Apply(Meta{Index: s.Index + 1, Term: s.Term}, Command{Level: 1, At: s.Now, Body: fromLater{}})
	if !errors.Is(err, ErrFeatureLevel) || !bytes.Equal(before, encoded(t, after)) {
		t.Errorf("a command of level 3 that claims to be of level 1: %v", err)
	}
}

// fromLater is a command that no State of these tests is ready for.
type fromLater struct{ Resume }

func (fromLater) since() uint32   { return 3 }
func (fromLater) operators() bool { return true }
