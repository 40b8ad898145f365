package search

import "slices"

// Assignment is a problem in one state. Its cost and the counts behind its
// rules are kept up to date move by move; nothing is allocated per move but
// what its lists of items grow by.
type Assignment struct {
	m     *model
	place []int32
	in    [][]int32 // items of each bin, in no order
	slot  []int32   // of each item, where it stands in its bin's list

	use  []int64 // Bins rows: base and the items here
	held []int64 // Bins rows: use, and what left but still uses its initial bin

	away     []int32 // items not in their initial bin, in no order
	awaySlot []int32

	cost       int64
	binSum     []int64   // of each bin, the weighted sum terms
	binMove    []int64   // of each item, the weighted move terms
	largest    []leading // of each largest term
	wholeBin   []int64   // Bins rows of one value a sum of whole terms
	wholeTotal []int64
	wholeCost  []int64 // of each whole term, weighted
	grouped    []tally // of each group term

	apart  [][]uint16 // of each Apart rule, items by group and bin
	spread []spreading
	near   [][]uint16 // of each Near rule, items by group and neighbourhood
	crowds []crowd    // of each Share and Together rule
	bent   []crowd    // of each Broken term

	outs, ins    []int64 // scratch rows: what two bins would use
	whole, total []int64 // scratch: what whole terms' sums would be
}

// New makes a problem's initial assignment. Broken rules are no error: see
// [Rule].
func New(p Problem) (*Assignment, error) {
	m, err := compile(&p)
	if err != nil {
		return nil, err
	}
	return newAssignment(m, p.Initial), nil
}

func newAssignment(m *model, place []int32) *Assignment {
	a := &Assignment{
		m: m, place: slices.Clone(place), in: make([][]int32, m.Bins), slot: make([]int32, m.Items),
		use: make([]int64, m.Bins*m.dims), awaySlot: make([]int32, m.Items),
		binSum: make([]int64, m.Bins), binMove: make([]int64, m.Items),
		wholeBin: make([]int64, m.Bins*m.wholeSums), wholeTotal: make([]int64, m.wholeSums), wholeCost: make([]int64, len(m.wholes)),
		outs: make([]int64, m.dims), ins: make([]int64, m.dims), whole: make([]int64, 2*m.wholeSums), total: make([]int64, m.wholeSums),
	}
	a.fill()
	a.countGroups()
	a.price()
	return a
}

// fill sets what bins hold and use from the place of each item.
func (a *Assignment) fill() {
	m := a.m
	copy(a.use, m.Base)
	for i, b := range a.place {
		a.slot[i] = int32(len(a.in[b]))
		a.in[b] = append(a.in[b], int32(i))
		for d, x := range a.size(i) {
			a.use[int(b)*m.dims+d] += x
		}
		a.awaySlot[i] = -1
		if b != m.Initial[i] {
			a.awaySlot[i] = int32(len(a.away))
			a.away = append(a.away, int32(i))
		}
	}
	a.held = slices.Clone(a.use)
	for _, i := range a.away {
		from := int(m.Initial[i])
		for _, d := range m.transit {
			a.held[from*m.dims+d] += a.size(int(i))[d]
		}
	}
}

// price reckons all terms anew.
func (a *Assignment) price() {
	m := a.m
	a.cost = 0
	for b := range m.Bins {
		a.binSum[b] = a.sumOf(b, a.row(b))
		a.cost += a.binSum[b]
	}
	for _, i := range a.away {
		a.binMove[i] = a.moveOf(int(i), int(a.place[i]))
		a.cost += a.binMove[i]
	}
	a.largest = make([]leading, len(m.largest))
	for k, t := range m.largest {
		a.largest[k] = newLeading(m.Bins)
		for b := range m.Bins {
			a.largest[k].value[b] = t.bin[0](b, a.row(b))
		}
		a.largest[k].lead()
		a.cost += t.Weight * a.largest[k].most()
	}
	for b := range m.Bins {
		a.wholeOf(b, a.row(b), a.wholeRow(b))
		for j, x := range a.wholeRow(b) {
			a.wholeTotal[j] += x
		}
	}
	for k := range m.wholes {
		a.wholeCost[k] = a.wholeCostOf(k, a.wholeTotal)
		a.cost += a.wholeCost[k]
	}
	a.grouped = make([]tally, len(m.grouped))
	for k, t := range m.grouped {
		a.grouped[k] = newTally(t.group)
		for _, i := range a.away {
			a.grouped[k].add(t.group[i])
		}
		a.cost += t.Weight * int64(a.grouped[k].most)
	}
	a.cost += a.brokenCost()
}

func (a *Assignment) size(item int) []int64 {
	return a.m.Size[item*a.m.dims : (item+1)*a.m.dims]
}

func (a *Assignment) row(bin int) []int64 {
	return a.use[bin*a.m.dims : (bin+1)*a.m.dims]
}

func (a *Assignment) wholeRow(bin int) []int64 {
	return a.wholeBin[bin*a.m.wholeSums : (bin+1)*a.m.wholeSums]
}

// sumOf is what the sum terms make of a bin that would use so much.
func (a *Assignment) sumOf(bin int, use []int64) int64 {
	var sum int64
	for _, t := range a.m.sums {
		sum += t.Weight * t.bin[0](bin, use)
	}
	return sum
}

// wholeOf sets the values that whole terms sum, of a bin that would use so much.
func (a *Assignment) wholeOf(bin int, use, values []int64) {
	j := 0
	for _, t := range a.m.wholes {
		for _, f := range t.bin {
			values[j] = f(bin, use)
			j++
		}
	}
}

func (a *Assignment) wholeCostOf(k int, totals []int64) int64 {
	t := a.m.wholes[k]
	first := a.m.wholeFirst[k]
	return t.Weight * t.whole(totals[first:first+len(t.bin)])
}

// moveOf is what the move terms make of an item in a bin.
func (a *Assignment) moveOf(item, bin int) int64 {
	from := int(a.m.Initial[item])
	if bin == from {
		return 0
	}
	var sum int64
	for _, t := range a.m.moved {
		sum += t.Weight * t.move(item, from, bin)
	}
	return sum
}

// Place is the bin of each item.
func (a *Assignment) Place() []int32 { return slices.Clone(a.place) }

// Cost is the sum of weight × term.
func (a *Assignment) Cost() int64 { return a.cost }

// Moves is how many items are not in their initial bin.
func (a *Assignment) Moves() int { return len(a.away) }

// Use is what a bin uses in each dimension. It is to be read before the next
// move, and not changed.
func (a *Assignment) Use(bin int) []int64 { return a.row(bin) }
