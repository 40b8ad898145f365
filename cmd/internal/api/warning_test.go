package api

import (
	"slices"
	"testing"
)

// Whoever is shown the first three misses no alarm, and among equals what was
// found first stays first.
func TestWarningsBySeverity(t *testing.T) {
	var s Status
	for _, w := range []Warning{{Remark, "r1", ""}, {Caution, "c1", ""}, {Alarm, "a1", ""}, {Remark, "r2", ""}, {Alarm, "a2", ""}, {Caution, "c2", ""}} {
		s.warning(w.Severity, w.Command, "%s", w.Text)
	}
	var got []string
	for _, w := range s.Warnings {
		got = append(got, w.Text)
	}
	if want := []string{"a1", "a2", "c1", "c2", "r1", "r2"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
