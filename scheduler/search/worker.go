package search

import "slices"

// worker walks through assignments and remembers the cheapest.
type worker struct {
	m    *model
	a    *Assignment
	dice dice
	done int64 // iterations

	best     []int32
	bestCost int64
	strayed  []int32 // items moved since the state was the best; see keep
	far      bool    // too many to list

	items     []int32 // that may move at all
	cooling   cooling
	ejections uint64 // of 256 candidates
	undo      []Step // of the attempt in hand
	wants     []want // of the ejection in hand; see wanting
	visitor   bool   // and whether only an item that is not at home can help
}

func newWorker(m *model, b Budget, number int) *worker {
	a := newAssignment(m, m.Initial)
	w := &worker{m: m, a: a, dice: dice(b.Seed), best: slices.Clone(m.Initial), bestCost: a.cost}
	for range number + 1 {
		w.dice = dice(w.dice.next())
	}
	w.undo = make([]Step, 0, maxEjected)
	w.wants = make([]want, 0, m.dims)
	w.strayed = make([]int32, 0, m.Items)
	for _, b := range m.bulk {
		i := int(b)
		if a.free(i) {
			w.items = append(w.items, int32(i))
		}
	}
	if w.ejections = ejections; m.tolls != nil {
		w.ejections = tolled
	}
	w.cooling = newCooling(b.Horizon, len(w.items))
	return w
}

// free says whether the rules about an item alone let it leave.
func (a *Assignment) free(item int) bool {
	for _, r := range a.m.fixed {
		if !r.allows(item, -1) {
			return false
		}
	}
	return true
}

// run weighs candidates up to an iteration.
func (w *worker) run(until int64) {
	if len(w.items) == 0 || w.m.Bins < 2 {
		w.done = until
		return
	}
	for w.done < until {
		w.step()
	}
}

// stray notes that an item was moved.
func (w *worker) stray(item int) {
	if len(w.strayed) == cap(w.strayed) {
		w.far = true
		return
	}
	w.strayed = append(w.strayed, int32(item))
}

// keep remembers the state if it is the cheapest so far. Only what moved since
// the last one is copied.
func (w *worker) keep() {
	if w.a.cost >= w.bestCost {
		return
	}
	w.bestCost = w.a.cost
	if w.far {
		copy(w.best, w.a.place)
	} else {
		for _, i := range w.strayed {
			w.best[i] = w.a.place[i]
		}
	}
	w.strayed, w.far = w.strayed[:0], false
}

// goTo puts the worker's state where a given assignment is.
func (w *worker) goTo(place []int32) {
	for i, b := range place {
		if w.a.place[i] != b {
			w.a.shift(i, int(b))
			w.stray(i)
		}
	}
}

// meet lets workers learn from each other at a barrier.
func meet(team []*worker) {
	lead := best(team)
	for _, w := range team {
		if w.cooling.fresh && w != lead && w.bestCost > lead.bestCost {
			w.goTo(lead.best)
			w.keep()
		}
		w.cooling.fresh = false
	}
}

func (w *worker) result(initial []int32, done int64) Result {
	a := newAssignment(w.m, w.best)
	return Result{
		Place: slices.Clone(w.best), Cost: a.cost, Before: newAssignment(w.m, initial).cost,
		Terms: a.Terms(), Moves: len(a.away), Iterations: done,
	}
}

// Terms lists what the cost consists of, in the order of the problem's table.
func (a *Assignment) Terms() []TermValue {
	var list []TermValue
	for i := range a.m.Terms {
		t := &a.m.Terms[i]
		list = append(list, TermValue{Name: t.Name, Weight: t.Weight, Value: a.value(t)})
	}
	return list
}

// value reckons one term from the state.
func (a *Assignment) value(t *Term) int64 {
	var v int64
	switch t.kind {
	case sumTerm:
		for b := range a.m.Bins {
			v += t.bin[0](b, a.row(b))
		}
	case largestTerm:
		for b := range a.m.Bins {
			if x := t.bin[0](b, a.row(b)); b == 0 || x > v {
				v = x
			}
		}
	case wholeTerm:
		sums := make([]int64, len(t.bin))
		for b := range a.m.Bins {
			for j, f := range t.bin {
				sums[j] += f(b, a.row(b))
			}
		}
		v = t.whole(sums)
	case movedTerm:
		for _, i := range a.away {
			v += t.move(int(i), int(a.m.Initial[i]), int(a.place[i]))
		}
	case groupTerm:
		of := newTally(t.group)
		for _, i := range a.away {
			of.add(t.group[i])
		}
		v = int64(of.most)
	case brokenTerm:
		v = a.bent[slices.Index(a.m.broken, t)].broken
	}
	return v
}
