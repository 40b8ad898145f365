package search

// Bounds of an ejection: how many items may make room for one, how many are
// looked at for each of them, how many of those may look for a bin, and how
// many bins are tried for one that leaves.
const (
	maxEjected   = 5
	maxLooks     = 64
	maxTries     = 3
	maxRefuges   = 4
	fixedRefuges = 2 // home, and where the first item came from
)

// tryEject puts any item into any bin, and shifts others away from there until
// it fits. If all of that together is not worth it, it is taken back.
func (w *worker) tryEject() {
	a := w.a
	item, bin := w.anyItem(), w.anyBin()
	from := int(a.place[item])
	if from == bin || !a.allowed(item, bin) || !a.withinMost(item, bin) || a.lonely(item, bin) != nil || a.crowded(item, from, bin, -1) != nil {
		return
	}
	w.undo = w.undo[:0]
	var delta int64
	for !a.mayShift(item, bin) {
		other, to := w.eject(item, bin, from)
		if other < 0 {
			w.takeBack()
			return
		}
		w.undo = append(w.undo, Step{Item: other, From: bin, To: to})
		delta += w.toll(other, to)
		delta += a.shift(other, to)
	}
	if delta+w.toll(item, bin)+a.shiftDelta(item, bin) > w.cooling.allowance(&w.dice) || a.scatters(item, bin) != nil {
		w.takeBack()
		return
	}
	a.shift(item, bin)
	w.stray(item)
	w.settle()
}

// eject chooses what leaves a bin for the sake of another item, and where it
// goes: one whose leaving is enough, else any while more may follow. It returns
// -1 if there is none.
func (w *worker) eject(item, bin, from int) (other, to int) {
	a := w.a
	list := a.in[bin]
	if len(w.undo) == maxEjected || len(list) == 0 {
		return -1, 0
	}
	start := w.dice.below(len(list))
	w.wanting(item, bin)
	for _, enough := range [2]bool{true, false} {
		if !enough && len(w.undo) == maxEjected-1 {
			break
		}
		tries := maxTries
		for k := range min(len(list), maxLooks) {
			x := int(list[(start+k)%len(list)])
			if tries == 0 {
				break
			}
			if enough && !w.makesRoom(x, bin) {
				continue
			}
			tries--
			if to := w.refuge(x, bin, from); to >= 0 {
				return x, to
			}
		}
	}
	return -1, 0
}

// want is what must leave a bin in one dimension.
type want struct {
	dim  int
	much int64
}

// wanting lists what must leave a bin for an item to fit, so that each item
// there is held against that alone: it is fitsFor, said once for all of them.
func (w *worker) wanting(item, bin int) {
	a, m := w.a, w.m
	size, at := a.size(item), bin*m.dims
	w.wants, w.visitor = w.wants[:0], false
	for _, d := range m.lasting {
		if much := min(size[d], a.use[at+d]+size[d]-m.capacity[at+d]); much > 0 {
			w.wants = append(w.wants, want{d, much})
		}
	}
	if m.Initial[item] == int32(bin) {
		return
	}
	for _, d := range m.transit {
		if much := min(size[d], a.held[at+d]+size[d]-m.capacity[at+d]); much > 0 {
			w.wants, w.visitor = append(w.wants, want{d, much}), true
		}
	}
}

// makesRoom says whether a bin has all that is wanting once an item has left.
func (w *worker) makesRoom(leaving, bin int) bool {
	if w.visitor && w.m.Initial[leaving] == int32(bin) {
		return false // it would be counted here all the same
	}
	size := w.a.size(leaving)
	for _, want := range w.wants {
		if size[want.dim] < want.much {
			return false
		}
	}
	return true
}

// refuge is where an item that leaves a bin may go: home, where the one that it
// makes room for came from, or a few others; the cheapest of them, -1 if none
// is lawful.
func (w *worker) refuge(item, bin, from int) int {
	a := w.a
	best, least := -1, int64(0)
	for k := range maxRefuges {
		to := from
		switch {
		case k == 0:
			to = int(a.m.Initial[item])
		case k >= fixedRefuges:
			to = w.anyBin()
		}
		if to == bin || !a.mayShift(item, to) || a.scatters(item, to) != nil {
			continue
		}
		w.done++
		if delta := a.shiftDelta(item, to) + w.toll(item, to); best < 0 || delta < least {
			best, least = to, delta
		}
	}
	return best
}

// takeBack undoes the shifts of an attempt, the last one first.
func (w *worker) takeBack() {
	for k := len(w.undo) - 1; k >= 0; k-- {
		w.a.shift(w.undo[k].Item, w.undo[k].From)
	}
}
