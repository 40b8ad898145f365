package cluster

import (
	"strings"
	"testing"
)

// A hypervisor that was booted anew gets no VM until an operator says so; one
// whose daemon alone was started anew, or of whose boots nothing is known, does.
func TestRebootedHostCordonsItself(t *testing.T) {
	const first, second = "000000b1-0000-4000-8000-000000000000", "000000b2-0000-4000-8000-000000000000"
	start := func(w *world, n uint64, boot string) {
		m := testHost(hv2)
		m.Incarnation, m.Boot = n, boot
		w.must(byHost(hv2), Announce{testCluster, m})
	}
	for name, c := range map[string]struct {
		boots    []string // of the starts
		cordoned bool
	}{
		"another boot":                             {[]string{first, second}, true},
		"the daemon alone":                         {[]string{first, first}, false},
		"the first that is known":                  {[]string{"", first}, false},
		"it could not be read":                     {[]string{first, ""}, false},
		"another one, after one could not be read": {[]string{first, "", second}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i, boot := range c.boots {
				start(w, uint64(i+2), boot)
			}
			cordon, cordoned := w.s.Cordoned(hv2)
			if cordoned != c.cordoned || cordoned && (cordon.By != "evenkeel" || cordon.Drain || !strings.Contains(cordon.Text, "booted anew")) {
				t.Errorf("cordon %+v, %v", cordon, cordoned)
			}
		})
	}
	t.Run("an operator's word stands", func(t *testing.T) {
		w := newWorld(t)
		start(w, 2, first)
		w.must(byOperator, SetCordon{Host: hv2, Drain: true, Text: "new board"})
		start(w, 3, second)
		if c, _ := w.s.Cordoned(hv2); c.By != "ann" || !c.Drain {
			t.Errorf("cordon %+v", c)
		}
		w.must(byOperator, LiftCordon{Host: hv2})
		start(w, 4, second)
		if c, again := w.s.Cordoned(hv2); again {
			t.Errorf("cordoned again without another boot: %+v", c)
		}
	})
	t.Run("a witness has no VMs", func(t *testing.T) {
		w := newWorld(t)
		for n, boot := range []string{first, second} {
			w.must(byLeader, Announce{testCluster, Member{ID: witness, Name: "wit", Role: RoleWitness, Incarnation: uint64(n + 1), Level: 1, Boot: boot}})
		}
		if len(w.s.Cordons) != 0 {
			t.Errorf("cordons %+v", w.s.Cordons)
		}
	})
	t.Run("no boot id", func(t *testing.T) {
		w := newWorld(t)
		m := testHost(hv2)
		m.Incarnation, m.Boot = 2, "yesterday"
		w.refuses(CodeAbsurdFigure, byHost(hv2), Announce{testCluster, m})
	})
}
