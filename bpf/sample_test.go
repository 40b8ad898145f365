package bpf

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func splits(t *rapid.T, name string) (s Split) {
	for i := range s {
		s[i] = rapid.Uint64Range(0, 1<<rapid.UintRange(0, 50).Draw(t, "bits")).Draw(t, name)
	}
	return s
}

// Filling up keeps the sum exact, takes nothing from anybody, leaves quota
// alone, and gives each about its share.
func TestFill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen, before := splits(t, "seen"), splits(t, "before")
		rest := rapid.Uint64Range(0, 1<<50).Draw(t, "rest")
		got := fill(seen, before, rest)
		if got.Total() != seen.Total()+rest {
			t.Fatalf("%v and %d fill to %v", seen, rest, got)
		}
		if got[CauseQuota] != seen[CauseQuota] {
			t.Fatalf("quota from %d to %d", seen[CauseQuota], got[CauseQuota])
		}
		weights := seen
		weights[CauseQuota] = 0
		for c := range got {
			if got[c] < seen[c] {
				t.Fatalf("%v fell from %d to %d", Cause(c), seen[c], got[c])
			}
			if sum := weights.Total(); sum > 0 {
				want := float64(rest) * float64(weights[c]) / float64(sum)
				if d := float64(got[c]-seen[c]) - want; d < -2 || d > float64(Causes)+1 {
					t.Fatalf("%v got %d, its share is %.1f", Cause(c), got[c]-seen[c], want)
				}
			}
		}
	})
	var nothing Split
	if got := fill(nothing, nothing, 7); got[CauseUnattributed] != 7 {
		t.Errorf("without any share known: %v", got)
	}
	if got := fill(nothing, Split{CauseVM: 1, CauseQuota: 9}, 7); got[CauseVM] != 7 {
		t.Errorf("with the shares of before: %v", got)
	}
}

func TestPortion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, whole := rapid.Uint64().Draw(t, "n"), rapid.Uint64Min(1).Draw(t, "whole")
		part := rapid.Uint64Range(0, whole).Draw(t, "part")
		want := new(big.Int).Mul(new(big.Int).SetUint64(n), new(big.Int).SetUint64(part))
		want.Div(want, new(big.Int).SetUint64(whole))
		if got := portion(n, part, whole); got != want.Uint64() {
			t.Fatalf("portion(%d, %d, %d) = %d, want %v", n, part, whole, got, want)
		}
	})
	if portion(5, 0, 0) != 0 {
		t.Error("nothing of nothing is something")
	}
}

// Whatever the cells do, a row's totals never fall, and with the surplus they
// are all that was counted and all that was added.
func TestRowAdvances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 5
		r, cells := newRow(n), make([]uint64, n)
		var counted, added uint64
		for range rapid.IntRange(1, 20).Draw(t, "looks") {
			extra := rapid.Uint64Range(0, 1<<40).Draw(t, "surplus")
			r.surplus += extra
			added += extra
			before := append([]uint64(nil), r.total...)
			for i := range cells {
				d := rapid.SampledFrom([]uint64{0, 0, 1, 1000, 1 << 40}).Draw(t, "grown")
				cells[i] += d
				counted += d
			}
			r.advance(cells)
			sum := r.surplus
			for i, total := range r.total {
				if total < before[i] {
					t.Fatalf("cell %d fell from %d to %d", i, before[i], total)
				}
				sum += total
			}
			if sum != counted+added {
				t.Fatalf("totals and surplus are %d, counted %d and added %d", sum, counted, added)
			}
		}
	})
}

func TestCulpritsLargestFirst(t *testing.T) {
	r := newRow(200)
	owners := make([]string, 200)
	for i := range r.total {
		r.total[i] = uint64(i % 100)
		owners[i] = string(rune('a' + i%26))
	}
	owners[99] = "" // one that left
	r.host(7, 1000)
	for pid := range 2 * maxHosts {
		r.host(pid+10, 1)
	}
	got := r.culprits(owners)
	if len(got) != MaxCulprits || got[0] != (Culprit{PID: 7, WaitNS: 1000}) || got[1].WaitNS != 99 || got[2].WaitNS != 98 {
		t.Errorf("%d culprits, first %+v", len(got), got[:3])
	}
	if len(r.hosts) != maxHosts {
		t.Errorf("%d host tasks are remembered", len(r.hosts))
	}
	for i, c := range got[1:] {
		if next := got[i]; c.WaitNS > next.WaitNS {
			t.Errorf("%+v stands below %+v", c, next)
		}
	}
	if last := got[MaxCulprits-1].WaitNS; last != 68 { // 1000, 99, and two of each from 98 down
		t.Errorf("the last is of %d ns", last)
	}
	r.forget(199)
	if got := r.culprits(owners); got[1].WaitNS != 98 {
		t.Errorf("who left is still named: %+v", got[1])
	}
}

// A host's cell that passed to another process begins anew.
func TestHostDelta(t *testing.T) {
	var last, now record
	last.Hosts[0].Tgid, last.Hosts[0].Ns = 5, 100
	last.Hosts[1].Tgid, last.Hosts[1].Ns = 6, 100
	last.Hosts[2].Tgid, last.Hosts[2].Ns = 7, 100
	now.Hosts[0].Tgid, now.Hosts[0].Ns = 5, 130
	now.Hosts[1].Tgid, now.Hosts[1].Ns = 9, 10
	now.Hosts[2].Tgid, now.Hosts[2].Ns = 7, 20 // went and came back
	got := map[int]uint64{}
	hostDelta(&now, &last, func(pid int, ns uint64) { got[pid] += ns })
	if got[5] != 30 || got[9] != 10 || got[7] != 20 || len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestMarkNeverFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m mark
		var shown, completed uint64
		for range 20 {
			completed += rapid.Uint64Range(0, 100).Draw(t, "completed")
			open := m.above(completed, rapid.Uint64Range(0, 2000).Draw(t, "seen"))
			if completed+open < shown {
				t.Fatalf("fell from %d to %d", shown, completed+open)
			}
			shown = completed + open
		}
	})
}
