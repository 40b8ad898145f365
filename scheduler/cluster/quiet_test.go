package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestQuietWindowsAreRefused(t *testing.T) {
	for _, bad := range []string{
		"", "daily", "daily 01:00-02:00", "daily 01:00-02:00 UTC UTC", "never 01:00-02:00 UTC", "mon- 01:00-02:00 UTC", ",mon 01:00-02:00 UTC",
		"Mon 01:00-02:00 UTC", "daily 1:00-2:00 UTC", "daily 01:00 UTC", "daily 01:00-01:00 UTC", "daily 24:00-01:00 UTC", "daily 01:60-02:00 UTC",
		"daily 23:00-24:01 UTC", "daily +1:00-02:00 UTC", "daily 01:00-02:00 Local", "daily 01:00-02:00 ../etc", "daily 01:00-02:00 " + strings.Repeat("x", maxName),
	} {
		if w, err := ParseQuietWindow(bad); err == nil {
			t.Errorf("%q is %+v", bad, w)
		}
	}
	w := newWorld(t)
	one := []string{"daily 01:00-02:00 UTC"}
	w.refuses(CodeNotYours, byLeader, SetQuiet{Windows: one})
	w.refuses(CodeTooMany, byOperator, SetQuiet{Windows: slices.Repeat(one, MaxQuietWindows+1)})
	w.refuses(CodeAbsurdFigure, byOperator, SetQuiet{Windows: []string{"never"}})
	w.refuses(CodeStalePlan, byLeader, ForeseeQuiet{From: w.s.Now, Until: w.s.Now.Add(time.Hour)})
	w.must(byOperator, SetQuiet{Windows: one})
	w.refuses(CodeAbsurdFigure, byLeader, ForeseeQuiet{From: w.s.Now.Add(-time.Hour), Until: w.s.Now})
	w.refuses(CodeAbsurdFigure, byLeader, ForeseeQuiet{From: w.s.Now.Add(time.Hour), Until: w.s.Now.Add(time.Hour)})
	w.refuses(CodeAbsurdFigure, byLeader, ForeseeQuiet{From: w.s.Now, Until: w.s.Now.Add(32 * 24 * time.Hour)})
}

// What the State itself refuses, whatever was planned.
func TestQuietStaysWithTheState(t *testing.T) {
	w := newWorld(t)
	quiet := func(takes time.Duration) bool {
		t.Helper()
		o := w.orderOf(vmA, hv1, hv2, TriggerAuto)
		o.Predicted.Duration = takes
		r := RefusalOf(w.s.checkAutomatic(o, VM{UUID: vmA, Name: "a"}))
		return r != nil && r.Code == CodeQuietHours
	}
	if quiet(time.Hour) {
		t.Error("quiet without quiet hours")
	}
	w.must(byOperator, SetQuiet{Windows: []string{"daily 01:00-02:00 UTC"}})
	if !quiet(0) {
		t.Error("not quiet while nobody knows")
	}
	from := w.s.Now.Add(time.Minute)
	w.must(byLeader, ForeseeQuiet{From: from, Until: from.Add(time.Hour)})
	w.must(byOperator, SetQuiet{Windows: []string{"daily 01:00-02:00 UTC"}, Text: "said again"})
	if quiet(30*time.Second) || !quiet(30*time.Second+1) {
		t.Error("twice the time that a move takes must fit before quiet hours, and no more than that")
	}
	w.wait(time.Minute)
	w.beat()
	if !quiet(0) || w.s.Braked() != nil {
		t.Error("not quiet in quiet hours, or for operators too")
	}
	w.wait(time.Hour)
	w.beat()
	if !quiet(0) {
		t.Error("not quiet while nobody knows when the next are")
	}
	w.must(byOperator, SetQuiet{})
	if quiet(0) || len(w.s.Quiet.Windows) != 0 {
		t.Error("quiet after the last quiet hours were taken away")
	}
}
