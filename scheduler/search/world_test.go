package search

import (
	"slices"

	"pgregory.net/rapid"
)

// world is a generated problem, kept in words of its own so that costs and
// rules can be told by another way of reckoning.
type world struct {
	items, bins, dims int
	initial           []int32
	size, base, room  [][]int64 // room below 0 is unlimited
	transient         []bool
	group, zone       []int32 // one group an item
	least             []int32
	share             []int32 // most of each group in a zone
	team              []int32 // another group an item, that stays together
	needs             [][]int32
	pinned            []bool
	banned            [][]bool
	most              int
	groups            int
	scale             int64
}

const worldZones = 3

func drawWorld(t *rapid.T) *world {
	w := &world{
		items: rapid.IntRange(1, 14).Draw(t, "items"), bins: rapid.IntRange(1, 6).Draw(t, "bins"),
		dims: rapid.IntRange(1, 3).Draw(t, "dims"), groups: 4, scale: 1,
	}
	small := func(name string, n int, most int64) []int64 {
		return rapid.SliceOfN(rapid.Int64Range(0, most), n, n).Draw(t, name)
	}
	for range w.items {
		w.initial = append(w.initial, int32(rapid.IntRange(0, w.bins-1).Draw(t, "bin")))
		w.size = append(w.size, small("size", w.dims, 9))
		w.group = append(w.group, int32(rapid.IntRange(-1, w.groups-1).Draw(t, "group")))
		w.team = append(w.team, int32(rapid.IntRange(-5, w.groups-1).Draw(t, "team")))
		w.pinned = append(w.pinned, rapid.IntRange(0, 9).Draw(t, "pinned") == 0)
		w.banned = append(w.banned, rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 9), func(n int) bool { return n == 0 }), w.bins, w.bins).Draw(t, "banned"))
	}
	for range w.bins {
		w.base = append(w.base, small("base", w.dims, 5))
		w.room = append(w.room, small("room", w.dims, 50))
		w.zone = append(w.zone, int32(rapid.IntRange(0, min(worldZones, w.bins)-1).Draw(t, "zone")))
	}
	w.transient = rapid.SliceOfN(rapid.Bool(), w.dims, w.dims).Draw(t, "transient")
	if rapid.Bool().Draw(t, "unlimited") {
		for b := range w.bins {
			w.room[b][0] = -1
		}
	}
	for range w.groups {
		w.least = append(w.least, int32(rapid.IntRange(0, 2).Draw(t, "least")))
		w.share = append(w.share, int32(rapid.IntRange(1, 4).Draw(t, "share")))
		w.needs = append(w.needs, rapid.SliceOfN(rapid.Map(rapid.IntRange(0, w.groups-1), func(n int) int32 { return int32(n) }), 0, 1).Draw(t, "needs"))
	}
	w.most = rapid.SampledFrom([]int{0, 1, 2, 5, w.items}).Draw(t, "most")
	return w
}

// settle loosens the world's rules until the initial assignment keeps them.
func (w *world) settle() {
	for b := range w.bins {
		for d := range w.dims {
			if w.room[b][d] >= 0 {
				w.room[b][d] = max(w.room[b][d], w.used(w.initial, b, d))
			}
		}
	}
	for i, b := range w.initial {
		w.banned[i][b] = false
		for j := range i {
			if w.group[j] == w.group[i] && w.initial[j] == b {
				w.group[i] = -1
			}
		}
	}
	for i, b := range w.initial {
		for j := range i {
			if w.team[j] == w.team[i] && w.initial[j] != b {
				w.team[i] = -1
			}
		}
	}
	for g := range w.groups {
		for z := range worldZones {
			w.share[g] = max(w.share[g], int32(w.inZone(w.initial, g, z)))
		}
		w.least[g] = min(w.least[g], int32(len(w.zonesOf(w.initial, g))))
		w.needs[g] = slices.DeleteFunc(w.needs[g], func(n int32) bool {
			return slices.ContainsFunc(w.zonesOf(w.initial, g), func(z int32) bool { return !slices.Contains(w.zonesOf(w.initial, int(n)), z) })
		})
	}
}

func (w *world) zonesOf(place []int32, group int) []int32 {
	var zones []int32
	for i, b := range place {
		if int(w.group[i]) == group && !slices.Contains(zones, w.zone[b]) {
			zones = append(zones, w.zone[b])
		}
	}
	return zones
}

// inZone counts the items of a group in a zone.
func (w *world) inZone(place []int32, group, zone int) (n int) {
	for i, b := range place {
		if int(w.group[i]) == group && int(w.zone[b]) == zone {
			n++
		}
	}
	return n
}

// strays counts the items of a group that are not where most of them are.
func (w *world) strays(place, groups []int32, group int) int {
	at, all, most := map[int32]int{}, 0, 0
	for i, b := range place {
		if int(groups[i]) == group {
			all++
			at[b]++
			most = max(most, at[b])
		}
	}
	return all - most
}

// used is what a bin uses in a dimension, base included.
func (w *world) used(place []int32, bin, dim int) int64 {
	use := w.base[bin][dim]
	for i, b := range place {
		if int(b) == bin {
			use += w.size[i][dim]
		}
	}
	return use
}

// lawful tells from scratch whether an assignment keeps every rule.
func (w *world) lawful(place []int32) bool {
	moved := 0
	for i, b := range place {
		if b == w.initial[i] {
			continue
		}
		moved++
		if w.pinned[i] || w.banned[i][b] {
			return false
		}
	}
	return moved <= w.most && w.fits(place) && w.grouped(place)
}

func (w *world) fits(place []int32) bool {
	for b := range w.bins {
		for d := range w.dims {
			use := w.used(place, b, d)
			if w.transient[d] {
				for i, to := range place {
					if int(w.initial[i]) == b && int(to) != b {
						use += w.size[i][d]
					}
				}
			}
			if w.room[b][d] >= 0 && use > w.room[b][d] {
				return false
			}
		}
	}
	return true
}

func (w *world) grouped(place []int32) bool {
	for i, b := range place {
		for j := range i {
			if w.group[i] >= 0 && w.group[i] == w.group[j] && place[j] == b {
				return false
			}
		}
	}
	for g := range w.groups {
		if w.strays(place, w.team, g) > 0 {
			return false
		}
		for z := range worldZones {
			if w.inZone(place, g, z) > int(w.share[g]) {
				return false
			}
		}
		zones := w.zonesOf(place, g)
		if len(zones) < int(w.least[g]) {
			return false
		}
		for _, n := range w.needs[g] {
			if slices.ContainsFunc(zones, func(z int32) bool { return !slices.Contains(w.zonesOf(place, int(n)), z) }) {
				return false
			}
		}
	}
	return true
}

// squares, peak, excess and toll are the world's terms.
func (w *world) squares(bin int, use []int64) int64 { return use[0] * use[0] / w.scale }
func (w *world) peak(bin int, use []int64) int64    { return use[0] * int64(bin+1) }
func (w *world) toll(item, from, to int) int64      { return w.scale * int64(item+from+2*to) }
func excess(sums []int64) int64                     { return max(sums[0]-sums[1], 0) }

// cost reckons the world's cost from scratch.
func (w *world) cost(place []int32) int64 {
	var squares, peak, even, odd, toll, largest int64
	for b := range w.bins {
		use := w.used(place, b, 0)
		squares += use * use / w.scale
		peak = max(peak, use*int64(b+1))
		if b%2 == 0 {
			even += use
		} else {
			odd += use
		}
	}
	count := map[int32]int64{}
	for i, b := range place {
		if b == w.initial[i] {
			continue
		}
		toll += w.toll(i, int(w.initial[i]), int(b))
		if w.group[i] >= 0 {
			count[w.group[i]]++
			largest = max(largest, count[w.group[i]])
		}
	}
	return 3*squares + 2*peak + 5*max(even-odd, 0) + toll + 7*w.scale*largest + w.scale*w.bent(place)
}

// bent is what the rules cost that may be bent: by pairs of a group and a bin or
// zone, which is not how the engine counts.
func (w *world) bent(place []int32) (cost int64) {
	for g := range w.groups {
		for b := range w.bins {
			n := 0
			for i, at := range place {
				if int(w.team[i]) == g && int(at) == b {
					n++
				}
			}
			cost += 11 * int64(max(n-1, 0))
		}
		for z := range worldZones {
			cost += 13 * int64(max(w.inZone(place, g, z)-1, 0))
		}
		cost += 17 * int64(w.strays(place, w.group, g))
	}
	return cost
}

// problem is the world in the engine's words.
func (w *world) problem() Problem {
	p := Problem{Items: w.items, Bins: w.bins, Initial: w.initial}
	for d := range w.dims {
		p.Dims = append(p.Dims, Dim{Name: "room", Transient: w.transient[d]})
	}
	for _, s := range w.size {
		p.Size = append(p.Size, s...)
	}
	for b := range w.bins {
		p.Base = append(p.Base, w.base[b]...)
		for _, r := range w.room[b] {
			if r < 0 {
				r = Unlimited
			}
			p.Capacity = append(p.Capacity, r)
		}
	}
	side := func(side int) func(int, []int64) int64 {
		return func(bin int, use []int64) int64 {
			if bin%2 != side {
				return 0
			}
			return use[0]
		}
	}
	members, teams, ones := make([][]int32, w.groups), make([][]int32, w.groups), make([]int32, w.groups)
	for i := range w.items {
		if g := w.group[i]; g >= 0 {
			members[g] = append(members[g], int32(i))
		}
		if g := w.team[i]; g >= 0 {
			teams[g] = append(teams[g], int32(i))
		}
	}
	for g := range ones {
		ones[g] = 1
	}
	p.Terms = []Term{
		Sum("squares", 3, w.squares), Largest("peak", 2, w.peak), Whole("excess", 5, excess, side(0), side(1)),
		Moved("toll", 1, w.toll), LargestGroup("group", 7*w.scale, w.group),
		Broken("a team in one bin", 11*w.scale, Apart("", teams)), Broken("a group in one zone", 13*w.scale, Share("", members, w.zone, ones)),
		Broken("a group in many bins", 17*w.scale, Together("", members)),
	}
	p.Rules = []Rule{
		Only("pinned", func(item int) bool { return !w.pinned[item] }),
		Allow("banned", func(item, bin int) bool { return !w.banned[item][bin] || int32(bin) == w.initial[item] }),
		AtMost("most", w.most), Apart("apart", members), Spread("spread", members, w.zone, w.least), Near("near", members, w.zone, w.needs),
		Share("share", members, w.zone, w.share), Together("together", teams),
	}
	return p
}
