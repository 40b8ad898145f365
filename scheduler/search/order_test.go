package search

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// In whatever order the steps of a wave end, every state on the way keeps
// every rule, with what is under way counted on both its ends; and the waves
// lead to where they should, but for what is left out.
func TestOrderIsLawful(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.settle()
		r := solve(t, w.problem(), Budget{Seed: 1, Iterations: 2000})
		waves, left, err := Order(w.problem(), r.Place)
		if err != nil {
			t.Fatal(err)
		}
		// Steps before the last leave fewer or more items away than the place.
		w.most = w.items
		clear(w.transient)
		place := slices.Clone(w.initial)
		for _, wave := range waves {
			w.runs(t, place, rapid.Permutation(wave).Draw(t, "ends"))
		}
		for _, s := range left {
			if int(place[s.Item]) != s.From || int(r.Place[s.Item]) != s.To {
				t.Fatalf("%+v is left, but the item is in bin %d and goes to %d", s, place[s.Item], r.Place[s.Item])
			}
			place[s.Item] = int32(s.To)
		}
		if !slices.Equal(place, r.Place) {
			t.Fatalf("leads to %v, not to %v", place, r.Place)
		}
	})
}

// runs carries out a wave, one step ending after the other.
func (w *world) runs(t *rapid.T, place []int32, wave []Step) {
	for b := range w.bins {
		for d := range w.dims {
			use := w.used(place, b, d)
			arrives := false
			for _, s := range wave {
				if s.To == b && w.size[s.Item][d] > 0 {
					use, arrives = use+w.size[s.Item][d], true
				}
			}
			if arrives && w.room[b][d] >= 0 && use > w.room[b][d] {
				t.Fatalf("bin %d uses %d of %d while a wave runs", b, use, w.room[b][d])
			}
		}
	}
	for _, s := range wave {
		if int(place[s.Item]) != s.From || w.pinned[s.Item] || w.banned[s.Item][s.To] && int32(s.To) != w.initial[s.Item] {
			t.Fatalf("step %+v of an item in bin %d", s, place[s.Item])
		}
		place[s.Item] = int32(s.To)
		if !w.grouped(place) {
			t.Fatalf("%v breaks a rule about groups", place)
		}
	}
}

// Where every dimension is transient and no rule is about groups, what Solve
// finds is one wave.
func TestTransientRoomIsOneWave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for i := range w.group {
			w.group[i] = -1
		}
		for d := range w.transient {
			w.transient[d] = true
		}
		w.settle()
		r := solve(t, w.problem(), Budget{Seed: 1, Iterations: 2000})
		waves, left, err := Order(w.problem(), r.Place)
		if err != nil || len(left) > 0 || len(waves) > 1 {
			t.Fatalf("%d waves, %v left, %v", len(waves), left, err)
		}
	})
}

// Two items fill a bin each and are to change places: one waits in a third bin.
// Without a third bin neither can go.
func TestCycleIsBrokenThroughThirdBin(t *testing.T) {
	p := Problem{Items: 2, Bins: 3, Dims: []Dim{{Name: "memory"}}, Initial: []int32{0, 1}, Size: []int64{8, 6}, Capacity: []int64{10, 10, 7}}
	waves, left, err := Order(p, []int32{1, 0})
	if err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	want := []Wave{{{Item: 1, From: 1, To: 2}}, {{Item: 0, From: 0, To: 1}}, {{Item: 1, From: 2, To: 0}}}
	if !slices.EqualFunc(waves, want, slices.Equal) {
		t.Fatalf("got %v, want %v", waves, want)
	}
	p.Bins, p.Capacity = 2, p.Capacity[:2]
	if waves, left, err = Order(p, []int32{1, 0}); err != nil || len(waves) > 0 || len(left) != 2 {
		t.Fatalf("%v, %v left, %v", waves, left, err)
	}
}

func TestOrderRefusesWhatIsNoPlace(t *testing.T) {
	p := Problem{Items: 1, Bins: 1, Initial: []int32{0}}
	for _, place := range [][]int32{nil, {1}, {-1}, {0, 0}} {
		if _, _, err := Order(p, place); err == nil {
			t.Errorf("%v is taken for a place of 1 item in 1 bin", place)
		}
	}
}
