package cluster

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestConcerns plays histories and asks after every entry, for every member:
// it is concerned if and only if its view says something new beside index,
// time and acknowledgements.
func TestConcerns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			before := h.s
			h.step()
			for _, member := range []string{hv1, hv2, hv3, witness} {
				want := word(before, member) != word(h.s, member)
				if got := h.s.Concerns(before, member); got != want {
					t.Fatalf("an entry concerns %s: %v, its views say %v:\n%s\n%s", member, got, want, word(before, member), word(h.s, member))
				}
			}
		}
	})
}

// word is what a member must hear of at once.
func word(s State, member string) string {
	v := s.ViewFor(member)
	v.Index, v.Now, v.Sequence = 0, 0, 0
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// What concerns a member without a move of its own: facts of others do not.
func TestConcernsByCause(t *testing.T) {
	for name, c := range map[string]struct {
		entry func(w *world)
		hv1   bool
		hv3   bool
	}{
		"figures":               {func(w *world) { w.beat() }, false, false},
		"a refused snapshot":    {func(w *world) { w.s.hosts = refusedAt(w.s, hv1) }, true, false},
		"a new mode":            {func(w *world) { w.must(byOperator, SetMode{Mode: ModeOff}) }, true, true},
		"a pause":               {func(w *world) { w.must(byOperator, Pause{Until: w.s.Now + 10}) }, true, true},
		"a pause that is over":  {func(w *world) { w.must(byOperator, Pause{Until: w.s.Now + 10}); w.wait(20) }, false, false},
		"an order of two hosts": {func(w *world) { w.ordered() }, true, false},
		"another's start": {func(w *world) {
			m := testHost(hv1)
			m.Incarnation = 2
			w.must(byHost(hv1), Announce{testCluster, m})
		}, true, false},
		"a candidate": {func(w *world) {
			d := w.decide()
			d.Decision.Proposed = []Candidate{{VM: vmA, Source: hv1, Target: hv2}}
			w.must(byLeader, d)
		}, true, false},
		"new settings": {func(w *world) {
			set := w.s.Settings
			set.Enter++
			w.must(byOperator, SetSettings{Settings: set})
		}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.s
			c.entry(w)
			if got := w.s.Concerns(before, hv1); got != c.hv1 {
				t.Errorf("concerns hv1: %v", got)
			}
			if got := w.s.Concerns(before, hv3); got != c.hv3 {
				t.Errorf("concerns hv3: %v", got)
			}
		})
	}
}

func refusedAt(s State, host string) tree[string, Host] {
	h, _ := s.hosts.get(host)
	h.Refused = &Refusal{Code: CodeStaleBase, Text: "no"}
	return s.hosts.set(host, h)
}
