package search

import "testing"

// grid is a problem without rules about groups, large enough that lists of
// items no longer grow once it has been walked for a while.
func grid(items, bins int) Problem {
	p := Problem{
		Items: items, Bins: bins, Dims: []Dim{{Name: "memory", Transient: true}, {Name: "cpu"}},
		Terms: []Term{
			Sum("squares", 1, func(_ int, use []int64) int64 { return use[1] * use[1] }),
			Moved("moves", 1, func(int, int, int) int64 { return 5 }),
		},
	}
	var d dice
	for i := range items {
		p.Initial = append(p.Initial, int32(i%bins))
		p.Size = append(p.Size, int64(1+d.below(8)), int64(d.below(9)))
	}
	for range bins {
		p.Capacity = append(p.Capacity, int64(8*items/bins), Unlimited)
	}
	return p
}

// ruled is a grid with all rules about groups, must and bent.
func ruled(items, bins int) Problem {
	p := grid(items, bins)
	var trios, pairs [][]int32
	zone, two, one, least, needs := make([]int32, bins), []int32{}, []int32{}, []int32{}, [][]int32{}
	for b := range bins {
		zone[b] = int32(b % 4)
	}
	for i := 0; i+2 < items; i += 3 {
		trios, two, one, least, needs = append(trios, []int32{int32(i), int32(i + 1), int32(i + 2)}), append(two, 2), append(one, 1), append(least, 2), append(needs, nil)
	}
	for i := range min(items/4, items-bins) {
		pairs = append(pairs, []int32{int32(i), int32(i + bins)})
	}
	p.Rules = []Rule{Apart("apart", trios), Share("share", trios, zone, two), Spread("spread", trios, zone, least), Near("near", trios, zone, needs), Together("together", pairs)}
	p.Terms = append(p.Terms, Broken("share", 9, Share("", trios, zone, one)), Broken("together", 9, Together("", trios)), Broken("apart", 9, Apart("", pairs)))
	return p
}

// A weighed candidate allocates nothing, whatever its kind and the rules.
func TestCandidatesAllocateNothing(t *testing.T) {
	for name, p := range map[string]Problem{"free": grid(400, 20), "ruled": ruled(400, 20)} {
		t.Run(name, func(t *testing.T) { allocateNothing(t, p) })
	}
}

func allocateNothing(t *testing.T, p Problem) {
	m, err := compile(&p)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(m, Budget{Seed: 1, Horizon: 1 << 40}, 0)
	w.run(400_000)
	for name, try := range map[string]func(){"shift": w.tryShift, "swap": w.trySwap, "eject": w.tryEject, "trade": w.tryTrade, "step": w.step} {
		before := w.a.cost
		if n := testing.AllocsPerRun(20_000, try); n != 0 {
			t.Errorf("%s: %v allocations a candidate", name, n)
		}
		if w.a.cost == before {
			t.Errorf("%s: 20,000 candidates, and none was taken", name)
		}
	}
}

// BenchmarkStep is a candidate of the usual mix.
func BenchmarkStep(b *testing.B) {
	p := grid(4000, 200)
	b.ReportAllocs()
	if _, err := Solve(p, Budget{Seed: 1, Iterations: int64(b.N), Horizon: int64(b.N)}); err != nil {
		b.Fatal(err)
	}
}
