package search

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func solve(t interface{ Fatal(...any) }, p Problem, b Budget) Result {
	r, err := Solve(p, b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A result keeps every rule that the initial assignment keeps, costs what it
// says, and no more than to leave all as it was.
func TestResultIsLawful(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.settle()
		if !w.lawful(w.initial) {
			t.Fatal("the generated world starts unlawful")
		}
		r := solve(t, w.problem(), Budget{Seed: rapid.Uint64().Draw(t, "seed"), Workers: 2, Iterations: 3000})
		if !w.lawful(r.Place) {
			t.Fatalf("breaks a rule: %v from %v", r.Place, w.initial)
		}
		if got := w.cost(r.Place); got != r.Cost || w.cost(w.initial) != r.Before || r.Cost > r.Before {
			t.Fatalf("says %d after %d, but is %d after %d", r.Cost, r.Before, got, w.cost(w.initial))
		}
		var sum int64
		for _, term := range r.Terms {
			sum += term.Weight * term.Value
		}
		if sum != r.Cost || len(r.Terms) != 8 {
			t.Fatalf("terms %v add up to %d, not %d", r.Terms, sum, r.Cost)
		}
	})
}

// Where the initial assignment breaks rules, no move makes that worse: no item
// enters a bin beyond its room, or beside one of its group.
func TestBrokenRulesGetNoWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := solve(t, w.problem(), Budget{Seed: 1, Iterations: 2000})
		for b := range w.bins {
			for d := range w.dims {
				if use := w.used(r.Place, b, d); w.room[b][d] >= 0 && use > max(w.room[b][d], w.used(w.initial, b, d)) {
					t.Fatalf("bin %d uses %d of %d, %d before", b, use, w.room[b][d], w.used(w.initial, b, d))
				}
			}
		}
		for i, b := range r.Place {
			for j, c := range r.Place {
				if i != j && b == c && w.group[i] >= 0 && w.group[i] == w.group[j] && w.initial[i] != w.initial[j] {
					t.Fatalf("items %d and %d of group %d came together in bin %d", i, j, w.group[i], b)
				}
			}
		}
		for g := range w.groups {
			if zones, before := len(w.zonesOf(r.Place, g)), len(w.zonesOf(w.initial, g)); zones < min(before, int(w.least[g])) {
				t.Fatalf("group %d is in %d zones, %d before, %d wanted", g, zones, before, w.least[g])
			}
			if parted, before := w.strays(r.Place, w.team, g), w.strays(w.initial, w.team, g); parted > before {
				t.Fatalf("%d of team %d are apart, %d before", parted, g, before)
			}
			for z := range worldZones {
				if n := w.inZone(r.Place, g, z); n > max(w.inZone(w.initial, g, z), int(w.share[g])) {
					t.Fatalf("zone %d has %d of group %d, %d before, its share is %d", z, n, g, w.inZone(w.initial, g, z), w.share[g])
				}
			}
		}
	})
}

// Walks of shifts: what is refused breaks a rule, what is not keeps them all,
// and the change that was foretold is the one that came.
func TestShiftsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.settle()
		a, err := New(w.problem())
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			item, bin := rapid.IntRange(0, w.items-1).Draw(t, "item"), rapid.IntRange(0, w.bins-1).Draw(t, "to")
			to := a.Place()
			to[item] = int32(bin)
			foretold, before := a.ShiftDelta(item, bin), a.Cost()
			rule, refused := a.Shift(item, bin)
			if refused == w.lawful(to) {
				t.Fatalf("item %d to bin %d: refused %v by %q, but lawful is %v", item, bin, refused, rule, w.lawful(to))
			}
			if refused {
				continue
			}
			if a.Cost() != w.cost(to) || a.Cost()-before != foretold {
				t.Fatalf("costs %d after %d, foretold %d, is %d", a.Cost(), before, foretold, w.cost(to))
			}
		}
	})
}

// Walks of swaps: the same.
func TestSwapsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.settle()
		a, err := New(w.problem())
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i, j := rapid.IntRange(0, w.items-1).Draw(t, "one"), rapid.IntRange(0, w.items-1).Draw(t, "other")
			if a.place[i] == a.place[j] {
				continue
			}
			to := a.Place()
			to[i], to[j] = to[j], to[i]
			foretold, before := a.swapDelta(i, j), a.Cost()
			may := a.maySwap(i, j) && !a.swapBreaks(i, j)
			if may != w.lawful(to) {
				t.Fatalf("swap of %d and %d: may %v, but lawful is %v", i, j, may, w.lawful(to))
			}
			if !may {
				continue
			}
			a.swap(i, j)
			if a.Cost() != w.cost(to) || a.Cost()-before != foretold || !slices.Equal(a.place, to) {
				t.Fatalf("costs %d after %d, foretold %d, is %d", a.Cost(), before, foretold, w.cost(to))
			}
		}
	})
}

// What is refused is refused by a rule that binds: without it, and without
// those asked later, the move would be lawful or be refused by another one.
func TestRefusalsBind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.settle()
		p := w.problem()
		a, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		item, bin := rapid.IntRange(0, w.items-1).Draw(t, "item"), rapid.IntRange(0, w.bins-1).Draw(t, "to")
		rule, refused := a.Refuses(item, bin)
		if !refused {
			return
		}
		if rule == "room" {
			p.Capacity = nil
		}
		p.Rules = slices.DeleteFunc(p.Rules, func(r Rule) bool { return r.Name == rule })
		if a, err = New(p); err != nil {
			t.Fatal(err)
		}
		if again, _ := a.Refuses(item, bin); again == rule {
			t.Fatalf("item %d to bin %d is refused by %q, which is no longer there", item, bin, rule)
		}
	})
}

// The same problem, seed, workers and iterations give the same result, and a
// run that was stopped is repeated by the iterations that it did.
func TestResultIsRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		b := Budget{Seed: rapid.Uint64().Draw(t, "seed"), Workers: rapid.IntRange(1, 3).Draw(t, "workers"), Iterations: 2*epoch + 77}
		first := solve(t, w.problem(), b)
		if again := solve(t, w.problem(), b); !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v, and again %+v", first, again)
		}
		asked := 0
		stopped := solve(t, w.problem(), Budget{Seed: b.Seed, Workers: b.Workers, Horizon: 5000, Stop: func() bool { asked++; return asked > 2 }})
		b.Iterations, b.Horizon = stopped.Iterations, 5000
		if again := solve(t, w.problem(), b); stopped.Iterations != 2*epoch || !reflect.DeepEqual(stopped, again) {
			t.Fatalf("stopped %+v, and again %+v", stopped, again)
		}
	})
}

// With twice the sizes, room and cost all is twice as much, and nothing else
// changes.
func TestScaleChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		b := Budget{Seed: rapid.Uint64().Draw(t, "seed"), Iterations: 3000}
		small := solve(t, w.problem(), b)
		w.scale = 2
		for _, rows := range [][][]int64{w.size, w.base, w.room} {
			for _, row := range rows {
				for d := range row {
					row[d] *= 2
				}
			}
		}
		large := solve(t, w.problem(), b)
		if !slices.Equal(small.Place, large.Place) || 2*small.Cost != large.Cost {
			t.Fatalf("%v at %d, twice as large %v at %d", small.Place, small.Cost, large.Place, large.Cost)
		}
	})
}
