package search

// shift puts an item into another bin, whatever the rules say, and returns
// what that changed the cost by.
func (a *Assignment) shift(item, to int) int64 {
	from := int(a.place[item])
	if from == to {
		return 0
	}
	before := a.cost
	a.cost -= a.brokenCost()
	a.move(item, from, to)
	a.cost += a.brokenCost()
	a.repriceMove(item, from, to)
	a.repriceBins(from, to)
	return a.cost - before
}

// swap makes two items of different bins change places, whatever the rules
// say, and returns what that changed the cost by.
func (a *Assignment) swap(i, j int) int64 {
	x, y := int(a.place[i]), int(a.place[j])
	before := a.cost
	a.cost -= a.brokenCost()
	a.move(i, x, y)
	a.repriceMove(i, x, y)
	a.move(j, y, x)
	a.repriceMove(j, y, x)
	a.cost += a.brokenCost()
	a.repriceBins(x, y)
	return a.cost - before
}

// move books an item from one bin to another, without its price.
func (a *Assignment) move(item, from, to int) {
	m := a.m
	home := int(m.Initial[item])
	uf, ut := a.row(from), a.row(to)
	hf, ht := a.held[from*m.dims:(from+1)*m.dims], a.held[to*m.dims:(to+1)*m.dims]
	for d, x := range a.size(item) {
		uf[d] -= x
		ut[d] += x
		stays := m.Dims[d].Transient
		if !stays || from != home {
			hf[d] -= x
		}
		if !stays || to != home {
			ht[d] += x
		}
	}
	a.relist(item, from, to)
	if m.hasGroups {
		a.detach(item, from)
		a.attach(item, to)
	}
	if (from == home) != (to == home) {
		a.mark(item, to != home)
	}
	a.place[item] = int32(to)
}

// relist moves an item from the list of one bin to that of another.
func (a *Assignment) relist(item, from, to int) {
	list, at := a.in[from], a.slot[item]
	last := list[len(list)-1]
	list[at], a.slot[last] = last, at
	a.in[from] = list[:len(list)-1]
	a.slot[item] = int32(len(a.in[to]))
	a.in[to] = append(a.in[to], int32(item))
}

// mark keeps the list of items that are away.
func (a *Assignment) mark(item int, away bool) {
	if away {
		a.awaySlot[item] = int32(len(a.away))
		a.away = append(a.away, int32(item))
		return
	}
	at := a.awaySlot[item]
	last := a.away[len(a.away)-1]
	a.away[at], a.awaySlot[last] = last, at
	a.away = a.away[:len(a.away)-1]
	a.awaySlot[item] = -1
}

func (a *Assignment) repriceMove(item, from, to int) {
	for k, t := range a.m.grouped {
		a.cost -= t.Weight * int64(a.grouped[k].most)
	}
	a.countMove(item, from, to)
	for k, t := range a.m.grouped {
		a.cost += t.Weight * int64(a.grouped[k].most)
	}
	if len(a.m.moved) > 0 {
		cost := a.moveOf(item, to)
		a.cost += cost - a.binMove[item]
		a.binMove[item] = cost
	}
}

// repriceBins reckons the terms of two bins anew.
func (a *Assignment) repriceBins(x, y int) {
	m := a.m
	for _, b := range [2]int{x, y} {
		if len(m.sums) > 0 {
			sum := a.sumOf(b, a.row(b))
			a.cost += sum - a.binSum[b]
			a.binSum[b] = sum
		}
		for k, t := range m.largest {
			a.largest[k].set(b, t.bin[0](b, a.row(b)))
		}
		if m.wholeSums > 0 {
			values, old := a.whole[:m.wholeSums], a.wholeRow(b)
			a.wholeOf(b, a.row(b), values)
			for j, v := range values {
				a.wholeTotal[j] += v - old[j]
				old[j] = v
			}
		}
	}
	for k, t := range m.largest {
		l := &a.largest[k]
		if !l.stale {
			continue
		}
		a.cost -= t.Weight * l.most()
		l.lead()
		a.cost += t.Weight * l.most()
	}
	for k := range m.wholes {
		cost := a.wholeCostOf(k, a.wholeTotal)
		a.cost += cost - a.wholeCost[k]
		a.wholeCost[k] = cost
	}
}
