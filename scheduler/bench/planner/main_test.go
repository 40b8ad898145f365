package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// Each part can be chosen alone; the order is the table's.
func TestChoose(t *testing.T) {
	for names, want := range map[string][]int{"": {0, 1, 2, 3}, "gmrp": {3}, "gmrp,exact": {0, 3}, "demand": {2}} {
		if got, err := choose(names); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", names, got, err, want)
		}
	}
	if _, err := choose("exact,magic"); err == nil || !strings.Contains(err.Error(), `no part "magic"`) {
		t.Errorf("an unknown part: %v", err)
	}
}

// The part that needs no time is measured for real, and its aims are met:
// they depend on iterations, not on the machine.
func TestExactMeetsItsAims(t *testing.T) {
	const data = "../../../../shared/data/planner"
	if _, err := os.Stat(data); err != nil {
		if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "data") {
			t.Fatalf("EVENKEEL_REQUIRE names data: %v", err)
		}
		t.Skip(err)
	}
	var out, log bytes.Buffer
	if err := run([]string{"-parts", "exact", "-data", data}, &out, &log); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 8 || strings.Contains(out.String(), "  no  ") || strings.Count(out.String(), "  yes  ") != 7 {
		t.Errorf("not every aim is met:\n%s", out.String())
	}
}

func TestRefusesWhatIsNoBench(t *testing.T) {
	for _, args := range [][]string{{"-parts", "magic"}, {"-speed"}, {"-parts", "exact", "-data", t.TempDir()}} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// What grows with the square, beside noise, is said to.
func TestExponent(t *testing.T) {
	if got := exponent([]float64{10, 20, 40, 80}, []float64{101, 397, 1603, 6390}); got < 1.98 || got > 2.02 {
		t.Errorf("%v, not 2", got)
	}
}
