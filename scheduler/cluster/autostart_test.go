package cluster

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// moveAutostarted plays a move of vmA from hv1 to hv2, which ends as the target
// says.
func (w *world) moveAutostarted(owed bool, target Testify) Move {
	w.t.Helper()
	id := w.claimed()
	w.must(byHost(hv1), Start{Move: id, Autostart: owed})
	gone := Evidence{Presence: PresenceAbsent}
	if target.Evidence.Presence == PresenceAbsent {
		gone = Evidence{Presence: PresenceRunning, Process: true}
	}
	w.must(byHost(hv1), EndJob{Move: id, Evidence: gone})
	target.Move = id
	w.must(byHost(hv2), target)
	m, _ := w.s.Move(id)
	return m
}

func TestAutostartOfAMove(t *testing.T) {
	here, absent := Evidence{Presence: PresenceRunning, Process: true}, Evidence{Presence: PresenceAbsent}
	for name, c := range map[string]struct {
		owed bool
		t    Testify
		want Autostart
		says string // of the end's event
	}{
		"not set":         {false, Testify{Evidence: here}, "", "is done"},
		"claimed of none": {false, Testify{Evidence: here, Autostart: true}, "", "is done"},
		"kept":            {true, Testify{Evidence: here, Autostart: true}, AutostartKept, "is done"},
		"lost":            {true, Testify{Evidence: here}, AutostartLost, "virsh autostart"},
		"stayed":          {true, Testify{Evidence: absent}, "", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.moveAutostarted(c.owed, c.t)
			if m.Autostart != c.want || m.State.Live() {
				t.Errorf("%s, autostart %q, want %q", m.State, m.Autostart, c.want)
			}
			events := w.lastEvents()
			i := slices.IndexFunc(events, func(e Event) bool { return e.Kind == ends[m.State] })
			if i < 0 || !strings.Contains(events[i].Text, c.says) || (c.want == AutostartLost) != (m.State == MoveDone && events[i].Severity == SeverityWarning) {
				t.Errorf("told as %+v", events)
			}
		})
	}
}

// lastEvents are those of the world's newest entry.
func (w *world) lastEvents() []Event {
	w.t.Helper()
	s := New(testCluster)
	s.Now = epoch
	for i, e := range w.history {
		before := s
		s, _ = s.Apply(e.m, e.c)
		if i == len(w.history)-1 {
			return Events(before, s, e.c)
		}
	}
	return nil
}

func (w *world) starts(host string, revision uint64, vms ...string) {
	w.t.Helper()
	w.must(byHost(host), Describe{Incarnation: 1, Revision: revision, Offer: fullOffer(), Starts: vms})
}

// A definition that stayed behind and is started with its host is an alarm
// while the VM runs elsewhere; where a move of ours brought it there and set it
// there, the source hears that it is to unset its own.
func TestTwiceStarted(t *testing.T) {
	w := newWorld(t)
	w.starts(hv3, 1, vmA)
	told := w.lastEvents()
	if len(told) != 1 || told[0].Kind != EventAutostartTwice || !strings.Contains(told[0].Text, "libvirt at hv3 would start vm-a") {
		t.Errorf("told: %+v", told)
	}
	if got := slices.Collect(w.s.TwiceStarted()); !slices.Equal(got, []TwiceStarted{{vmA, hv3, hv1}}) {
		t.Errorf("%+v", got)
	}
	if got := w.s.ViewFor(hv3).Unstart; got != nil {
		t.Errorf("hv3 is to touch what no move of ours left there: %v", got)
	}
	w.starts(hv3, 2)
	if told := w.lastEvents(); len(told) != 1 || told[0].Kind != EventAutostartOnce {
		t.Errorf("told: %+v", told)
	}

	w.moveAutostarted(true, Testify{Evidence: Evidence{Presence: PresenceRunning, Process: true}, Autostart: true})
	before := w.s
	w.starts(hv1, 1, vmA)
	if !w.s.Concerns(before, hv1) || w.s.Concerns(before, hv2) {
		t.Error("hv1 alone is concerned")
	}
	back, err := DecodeState(bytes.NewReader(encoded(t, w.s)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []State{w.s, back} {
		if got := s.ViewFor(hv1).Unstart; !slices.Equal(got, []string{vmA}) {
			t.Errorf("hv1 is to unset %v", got)
		}
	}
	late := w.s
	late.Now = late.Now.Add(unstartWithin)
	if got := late.ViewFor(hv1).Unstart; got != nil {
		t.Errorf("long after the move hv1 is to unset %v, which a person may want", got)
	}
	w.starts(hv1, 2)
	if got := w.s.ViewFor(hv1).Unstart; got != nil || len(w.lastEvents()) != 1 {
		t.Errorf("hv1 is still to unset %v; told: %v", got, w.lastEvents())
	}
}

// A VM that runs nowhere is told of once, however many hosts would start it.
func TestTwiceStartedAndNotRunning(t *testing.T) {
	const vmC = "0000000c-0000-4000-8000-000000000000"
	w := newWorld(t)
	w.starts(hv1, 1, vmC)
	if len(w.lastEvents()) != 0 {
		t.Errorf("told: %+v", w.lastEvents())
	}
	w.starts(hv2, 1, vmC)
	if got := slices.Collect(w.s.TwiceStarted()); !slices.Equal(got, []TwiceStarted{{vmC, hv2, hv1}}) {
		t.Errorf("%+v", got)
	}
	if told := w.lastEvents(); len(told) != 1 || !strings.Contains(told[0].Text, vmC) {
		t.Errorf("told: %+v", told)
	}
}

// While a VM moves it is off somewhere for a moment: what holds then is told
// when its move has ended.
func TestTwiceStartedWhileItMoves(t *testing.T) {
	w := newWorld(t)
	id := w.ordered()
	w.starts(hv3, 1, vmA)
	if got := slices.Collect(w.s.TwiceStarted()); len(got) != 0 || len(w.lastEvents()) != 0 {
		t.Errorf("%+v, told: %+v", got, w.lastEvents())
	}
	w.must(byOperator, Cancel{id, "no"})
	if told := w.lastEvents(); !slices.ContainsFunc(told, func(e Event) bool { return e.Kind == EventAutostartTwice }) {
		t.Errorf("told: %+v", told)
	}
}

func TestStartsAreBounded(t *testing.T) {
	w := newWorld(t)
	for _, vms := range [][]string{{"db"}, {vmB, vmA}, {vmA, vmA}} {
		w.refuses(CodeAbsurdFigure, byHost(hv1), Describe{Incarnation: 1, Revision: 1, Offer: fullOffer(), Starts: vms})
	}
	w.refuses(CodeTooMany, byHost(hv1), Describe{Incarnation: 1, Revision: 1, Offer: fullOffer(), Starts: make([]string, MaxVMsPerHost+1)})
}
