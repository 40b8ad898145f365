package search

// tradeBins is how many bins are tried for the last item of a trade.
const tradeBins = 8

// tryTrade sends one or two of the moved items home and as many others out in
// their stead: where the number of moved items is limited and used up, nothing
// else leads from one choice of them to the next. Two may change places, which
// full bins ask for.
func (w *worker) tryTrade() {
	a := w.a
	w.undo = w.undo[:0]
	var delta int64
	for range 1 + w.dice.below(min(len(a.away), 2)) {
		back := int(a.away[w.dice.below(len(a.away))])
		if !w.attempt(back, int(a.m.Initial[back]), &delta) {
			w.takeBack()
			return
		}
	}
	sent := len(w.undo)
	if sent == 2 && w.dice.next()>>63 == 0 {
		w.tradeForSwap(delta)
		return
	}
	for range sent - 1 {
		if !w.attempt(w.anyItem(), w.anyBin(), &delta) {
			w.takeBack()
			return
		}
	}
	item := w.anyItem()
	if to := w.cheapest(item); to < 0 || !w.attempt(item, to, &delta) || delta > w.cooling.allowance(&w.dice) {
		w.takeBack()
		return
	}
	w.settle()
}

// tradeForSwap ends a trade by a swap.
func (w *worker) tradeForSwap(delta int64) {
	a, i, j := w.a, w.anyItem(), w.anyItem()
	if a.place[i] == a.place[j] || !a.maySwap(i, j) ||
		delta+a.swapDelta(i, j) > w.cooling.allowance(&w.dice) || a.swapBreaks(i, j) {
		w.takeBack()
		return
	}
	a.swap(i, j)
	w.stray(i)
	w.stray(j)
	w.settle()
}

// attempt shifts an item if that is lawful, so that it can be taken back.
func (w *worker) attempt(item, to int, delta *int64) bool {
	from := int(w.a.place[item])
	w.done++
	if from == to || !w.a.mayShift(item, to) || w.a.scatters(item, to) != nil {
		return false
	}
	w.undo = append(w.undo, Step{item, from, to})
	*delta += w.a.shift(item, to)
	return true
}

// settle keeps what was attempted.
func (w *worker) settle() {
	for _, s := range w.undo {
		w.stray(s.Item)
	}
	w.keep()
}

// cheapest is the cheapest lawful of a few bins for an item, -1 if there is
// none.
func (w *worker) cheapest(item int) int {
	best, least := -1, int64(0)
	for range min(w.m.Bins, tradeBins) {
		to := w.anyBin()
		w.done++
		if to == int(w.a.place[item]) || !w.a.mayShift(item, to) {
			continue
		}
		if delta := w.a.shiftDelta(item, to); best < 0 || delta < least {
			best, least = to, delta
		}
	}
	return best
}
