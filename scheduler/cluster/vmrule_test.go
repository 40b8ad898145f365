package cluster

import (
	"testing"
	"time"
)

func TestVMRules(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetVMRule{VM: vmB, Mode: ModeRecommend, Text: "licence server"})
	w.must(byOperator, SetVMRule{VM: vmA, Mode: ModeOff, MovesPerDay: 2})
	if got := w.s.VMRules; len(got) != 2 || got[0].VM != vmA || got[0].By != "ann" || got[1].Text != "licence server" {
		t.Errorf("rules %+v", got)
	}
	w.must(byOperator, SetVMRule{VM: vmA, DowntimePerDay: time.Second}) // in place of all that was said
	if r, ok := w.s.VMRule(vmA); !ok || r.Mode != "" || r.MovesPerDay != 0 || r.DowntimePerDay != time.Second {
		t.Errorf("rule %+v", r)
	}
	w.must(byOperator, SetVMRule{VM: vmA})
	w.must(byOperator, SetVMRule{VM: vmB})
	if len(w.s.VMRules) != 0 {
		t.Errorf("rules %+v are left", w.s.VMRules)
	}
}

func TestVMRulesAreRefused(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeNotYours, byHost(hv1), SetVMRule{VM: vmA, Mode: ModeOff})
	w.refuses(CodeUnknownVM, byOperator, SetVMRule{VM: "web", Mode: ModeOff})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, Mode: "sideways"})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, MovesPerDay: -1})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, MovesPerDay: 1001})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, DowntimePerDay: -1})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, DowntimePerDay: 24*time.Hour + 1})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, Mode: ModeOff, Text: string(make([]byte, maxText+1))})
}

// What the State itself refuses, whatever was planned.
func TestRuledVMsStayWithTheState(t *testing.T) {
	w := newWorld(t)
	set := w.s.Settings
	set.Cooldown = 0
	w.must(byOperator, SetSettings{Settings: set})
	for mode, code := range map[Mode]Code{ModeOff: CodeVMMode, ModeRecommend: CodeVMMode, ModeAuto: "", "": ""} {
		w := *w
		w.must(byOperator, SetVMRule{VM: vmA, Mode: mode})
		if r := w.s.OwnMode(vmA, "a"); (r == nil) != (code == "") || r != nil && r.Code != code {
			t.Errorf("mode %q: %v", mode, r)
		}
		err := w.s.checkAutomatic(w.orderOf(vmA, hv1, hv2, TriggerAuto), VM{UUID: vmA, Name: "a"})
		if r := RefusalOf(err); (r == nil) != (code == "") || r != nil && r.Code != code {
			t.Errorf("mode %q: %v", mode, err)
		}
	}
}

// 40 and 60 ms were spent, and the next move is taken to cost what the worst
// did: 160 ms in all.
func TestSpent(t *testing.T) {
	borne := Disruption{}
	borne.add(Move{Downtime: 60 * time.Millisecond, Order: Order{Predicted: Effect{Downtime: time.Second}}})
	borne.add(Move{Order: Order{Predicted: Effect{Downtime: 40 * time.Millisecond}}}) // not measured
	if want := (Disruption{2, 100 * time.Millisecond, 60 * time.Millisecond}); borne != want {
		t.Fatalf("%+v, want %+v", borne, want)
	}
	for _, c := range []struct {
		name  string
		set   Settings
		rule  VMRule
		spent bool
	}{
		{"no bounds", Settings{}, VMRule{}, false},
		{"the cluster's two moves", Settings{VMMovesPerDay: 2}, VMRule{}, true},
		{"the cluster's three moves", Settings{VMMovesPerDay: 3}, VMRule{}, false},
		{"its own three before the cluster's two", Settings{VMMovesPerDay: 2}, VMRule{MovesPerDay: 3}, false},
		{"its own two before the cluster's three", Settings{VMMovesPerDay: 3}, VMRule{MovesPerDay: 2}, true},
		{"159 ms", Settings{VMDowntimePerDay: 159 * time.Millisecond}, VMRule{}, true},
		{"160 ms", Settings{VMDowntimePerDay: 160 * time.Millisecond}, VMRule{}, false},
		{"its own 159 ms", Settings{}, VMRule{DowntimePerDay: 159 * time.Millisecond}, true},
		{"its own 160 ms before the cluster's", Settings{VMDowntimePerDay: 1}, VMRule{DowntimePerDay: 160 * time.Millisecond}, false},
	} {
		s := New(testCluster)
		s.Settings = c.set
		c.rule.VM = vmA
		s.VMRules = []VMRule{c.rule}
		if r := s.Spent(vmA, "a", borne); (r != nil) != c.spent || r != nil && r.Code != CodeVMBudget {
			t.Errorf("%s: %v", c.name, r)
		}
	}
}

// Only moves that went through count, for a day from their end.
func TestDisruptions(t *testing.T) {
	w := newWorld(t)
	s := w.s
	s.Now = epoch.Add(48 * time.Hour)
	for i, m := range []Move{
		{State: MoveDone, EndedAt: s.Now.Add(-24 * time.Hour)},
		{State: MoveDone, EndedAt: s.Now.Add(-24*time.Hour + 1), Downtime: 1},
		{State: MoveFailed, EndedAt: s.Now.Add(-time.Hour)},
		{State: MoveDone, EndedAt: s.Now, Downtime: 2},
		{State: MoveRunning},
	} {
		m.Seq, m.VM, m.OrderedAt = uint64(i+1), vmA, s.Now.Add(-25*time.Hour)
		s.moves = s.moves.set(m.Seq, m)
	}
	want := Disruption{2, 3, 2}
	if got := s.Disruptions(); len(got) != 1 || got[vmA] != want || s.disruption(vmA) != want || s.disruption(vmB) != (Disruption{}) {
		t.Errorf("%+v, of the VM alone %+v", got, s.disruption(vmA))
	}
}

// A VM's own quiet hours hold for it alone, beside what else its rule says, and
// what was foreseen of them stands until they are others.
func TestVMQuiet(t *testing.T) {
	w := newWorld(t)
	nightly, weekly := []string{"daily 01:00-02:00 UTC"}, []string{"sun 00:00-24:00 UTC"}
	is := func(when string, code Code, takes time.Duration) {
		t.Helper()
		r := w.s.VMHush(vmA, "a")
		if r == nil {
			r = w.s.VMHushSoon(vmA, "a", takes)
		}
		if code == "" && r != nil || code != "" && (r == nil || r.Code != code) {
			t.Errorf("%s: %v, want %q", when, r, code)
		}
		if other := w.s.VMHush(vmB, "b"); other != nil || w.s.Hush() != nil {
			t.Errorf("%s: the other VM: %v, the cluster: %v", when, other, w.s.Hush())
		}
	}
	is("without a rule", "", time.Hour)
	w.must(byOperator, SetVMRule{VM: vmA, Quiet: nightly})
	is("not worked out", CodeQuietHours, 0)
	from := w.s.Now.Add(time.Minute)
	w.must(byLeader, ForeseeQuiet{VM: vmA, From: from, Until: from.Add(time.Hour)})
	is("half a minute fits", "", 30*time.Second)
	is("more does not", CodeQuietHours, 31*time.Second)
	w.must(byOperator, SetVMRule{VM: vmA, Mode: ModeAuto, Quiet: nightly})
	is("the same hours, and more said", "", 30*time.Second)
	w.wait(2 * time.Minute)
	w.beat()
	is("in the hours", CodeQuietHours, 0)
	w.refuses(CodeQuietHours, byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerAuto)))
	w.must(byLeader, w.decide(w.orderOf(vmB, hv1, hv2, TriggerAuto)))
	w.must(byOperator, SetVMRule{VM: vmA, Quiet: weekly})
	is("other hours", CodeQuietHours, 0)
	w.must(byOperator, SetVMRule{VM: vmA, Mode: ModeAuto})
	is("none any more", "", time.Hour)

	w.refuses(CodeStalePlan, byLeader, ForeseeQuiet{VM: vmA, From: from, Until: from.Add(time.Hour)})
	w.refuses(CodeStalePlan, byLeader, ForeseeQuiet{VM: vmB, From: from, Until: from.Add(time.Hour)})
	w.refuses(CodeAbsurdFigure, byOperator, SetVMRule{VM: vmA, Quiet: []string{"at night"}})
	w.refuses(CodeTooMany, byOperator, SetVMRule{VM: vmA, Quiet: make([]string, MaxVMQuietWindows+1)})
}
