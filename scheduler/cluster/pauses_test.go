package cluster

import (
	"testing"
	"time"
)

func TestPartPauses(t *testing.T) {
	w := newWorld(t)
	until := w.s.Now.Add(time.Hour)
	w.must(byOperator, Pause{Until: until, Host: hv1, Text: "new switch"})
	w.must(byOperator, Pause{Until: until, VM: vmA})
	w.must(byOperator, Pause{Until: until.Add(time.Hour), Host: hv1}) // in place of the first
	if got := w.s.PartPauses(); len(got) != 2 || got[0].VM != vmA || got[1].Until != until.Add(time.Hour) || got[1].By != "ann" {
		t.Errorf("paused %+v", got)
	}
	if w.s.Holding() != nil && w.s.Holding().Code == CodePaused {
		t.Error("a paused host pauses the cluster")
	}
	w.must(byOperator, Resume{})
	if n := len(w.s.PartPauses()); n != 2 {
		t.Errorf("%d are paused after a resume of the cluster", n)
	}
	w.wait(time.Hour)
	w.beat()
	if w.s.PausedPart("", vmA, "a") != nil || w.s.PausedPart(hv1, "", "hv1") == nil {
		t.Errorf("paused %+v after an hour", w.s.PartPauses())
	}
	w.must(byOperator, Resume{Host: hv1})
	if w.s.PausedPart(hv1, "", "hv1") != nil || len(w.s.Pauses) != 0 {
		t.Errorf("paused %+v after the end", w.s.Pauses)
	}
}

func TestPartPausesAreRefused(t *testing.T) {
	w := newWorld(t)
	until := w.s.Now.Add(time.Hour)
	w.refuses(CodeAbsurdFigure, byOperator, Pause{Until: until, Host: hv1, VM: vmA})
	w.refuses(CodeUnknownHost, byOperator, Pause{Until: until, Host: witness})
	w.refuses(CodeUnknownVM, byOperator, Pause{Until: until, VM: "web"})
	w.refuses(CodeAbsurdFigure, byOperator, Pause{Until: w.s.Now, VM: vmA})
}

// What the State itself refuses, whatever was planned.
func TestPausedPartsStayWithTheState(t *testing.T) {
	for name, p := range map[string]Pause{"VM": {VM: vmA}, "source": {Host: hv1}, "target": {Host: hv2}} {
		w := newWorld(t)
		p.Until = w.s.Now.Add(time.Hour)
		w.must(byOperator, p)
		err := w.s.checkAutomatic(w.orderOf(vmA, hv1, hv2, TriggerAuto), VM{UUID: vmA, Name: "a"})
		if r := RefusalOf(err); r == nil || r.Code != CodePaused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
