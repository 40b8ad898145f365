package main

import (
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
	in := []float64{3, 1, 2}
	median(in)
	if !slices.Equal(in, []float64{3, 1, 2}) {
		t.Errorf("median sorted its argument: %v", in)
	}
}

func TestQuartiles(t *testing.T) {
	if low, high := quartiles([]float64{5, 1, 3, 2, 4}); low != 2 || high != 4 {
		t.Errorf("quartiles %v, %v", low, high)
	}
	if low, high := quartiles([]float64{1, 2}); low != 1.25 || high != 1.75 {
		t.Errorf("quartiles %v, %v", low, high)
	}
	if low, high := quartiles([]float64{7}); low != 7 || high != 7 {
		t.Errorf("quartiles of one %v, %v", low, high)
	}
}

// A slow round is slow for both, and so is left out of the ratio.
func TestRatiosAreRoundByRound(t *testing.T) {
	if got := ratios([]float64{11, 22, 0}, []float64{10, 20, 0}); !slices.Equal(got, []float64{1.1, 1.1}) {
		t.Errorf("ratios %v", got)
	}
}

func TestNet(t *testing.T) {
	// Three hooks per event, 100 ns a run of which 50 are the way in: 150 net.
	u := usage{runs: 400, ns: 42000}.sub(usage{runs: 100, ns: 12000})
	if got := u.net(100, 50); got != 150 {
		t.Errorf("net %v, want 150", got)
	}
	if u.perRun() != 100 || (usage{}).perRun() != 0 {
		t.Errorf("a run takes %v", u.perRun())
	}
	if !math.IsNaN(u.net(0, 50)) {
		t.Error("a cost per event without an event")
	}
}
