package search

// Of 256 candidates so many are ejections and swaps, the rest shifts. An
// ejection costs some ten times a shift, and is what the tight instances live
// by: where no process fits anywhere, shifts and swaps end 40 % above it. Where
// leaving has a toll, room is found without so many of them.
const (
	ejections = 64
	tolled    = 16 // ejections where leaving has a toll
	swaps     = 64
	trades    = 128 // where the number of moved items is limited and used up
)

// Alike are a twentieth of all items, or sixteen.
const (
	alikeShare = 20
	leastAlike = 16
)

// step weighs one candidate, or a few that belong together.
func (w *worker) step() {
	if w.cooling.over() {
		w.reheat()
	}
	before := w.done
	w.done++
	kind := w.dice.next() >> 56
	switch {
	case len(w.a.away) >= w.m.most && w.m.most > 0 && w.dice.next()>>56 < trades:
		w.tryTrade()
	case kind < w.ejections:
		w.tryEject()
	case kind < w.ejections+swaps:
		w.trySwap()
	default:
		w.tryShift()
	}
	w.cooling.spend(w.done - before)
}

// reheat begins a cycle of cooling, from the best that is known. Each is twice
// as long as the one before, so that whenever the end comes, a good part of
// the time went into one of them.
func (w *worker) reheat() {
	if w.cooling.cycles > 0 {
		w.goTo(w.best)
		w.keep()
		w.cooling.cycle *= 2
	}
	w.cooling.begin(w.slope(), int64(len(w.items))*int64(w.m.Bins))
}

// slope is what a lawful shift that costs more costs on average.
func (w *worker) slope() float64 {
	sum, n := 0.0, 0
	for range probes {
		w.done++
		item, to := w.anyItem(), w.anyBin()
		if to == int(w.a.place[item]) || !w.a.mayShift(item, to) {
			continue
		}
		if delta := w.a.shiftDelta(item, to); delta > 0 {
			sum += float64(delta)
			n++
		}
	}
	return sum / float64(max(n, 1))
}

func (w *worker) anyItem() int { return int(w.items[w.dice.below(len(w.items))]) }

// twoAlike are any item and one of those that are next to it by size.
func (w *worker) twoAlike() (i, j int) {
	n := len(w.items)
	at := w.dice.below(n)
	span := min(max(n/alikeShare, leastAlike), n)
	first := min(max(at-span/2, 0), n-span)
	return int(w.items[at]), int(w.items[first+w.dice.below(span)])
}

func (w *worker) anyBin() int { return w.dice.below(w.m.Bins) }

// tryShift weighs any item in any bin.
func (w *worker) tryShift() {
	item, to := w.anyItem(), w.anyBin()
	if to == int(w.a.place[item]) || !w.a.mayShift(item, to) {
		return
	}
	if w.a.shiftDelta(item, to)+w.toll(item, to) > w.cooling.allowance(&w.dice) || w.a.scatters(item, to) != nil {
		return
	}
	w.a.shift(item, to)
	w.stray(item)
	w.keep()
}

// trySwap weighs two items in each other's place: any two, or where room is held
// by what has left, two of about the same size, which find it more often.
func (w *worker) trySwap() {
	i, j := w.anyItem(), w.anyItem()
	if w.m.tolls != nil && w.dice.next()>>63 == 0 {
		i, j = w.twoAlike()
	}
	x, y := int(w.a.place[i]), int(w.a.place[j])
	if x == y || !w.a.maySwap(i, j) {
		return
	}
	if w.a.swapDelta(i, j)+w.toll(i, y)+w.toll(j, x) > w.cooling.allowance(&w.dice) || w.a.swapBreaks(i, j) {
		return
	}
	w.a.swap(i, j)
	w.stray(i)
	w.stray(j)
	w.keep()
}
