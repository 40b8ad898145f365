package search

// shiftDelta is what the cost changes by if an item goes to another bin.
func (a *Assignment) shiftDelta(item, to int) int64 {
	from := int(a.place[item])
	size, out, in := a.size(item), a.row(from), a.row(to)
	for d, x := range size {
		a.outs[d] = out[d] - x
		a.ins[d] = in[d] + x
	}
	return a.binsDelta(from, to) + a.moveDelta(item, to) + a.brokenDelta(item, from, to, -1)
}

// swapDelta is what the cost changes by if two items of different bins change
// places.
func (a *Assignment) swapDelta(i, j int) int64 {
	x, y := int(a.place[i]), int(a.place[j])
	si, sj, ux, uy := a.size(i), a.size(j), a.row(x), a.row(y)
	for d, s := range si {
		a.outs[d] = ux[d] - s + sj[d]
		a.ins[d] = uy[d] + s - sj[d]
	}
	delta := a.binsDelta(x, y) + a.brokenDelta(i, x, y, j) + a.brokenDelta(j, y, x, i)
	if len(a.m.grouped) == 0 {
		return delta + a.moveDelta(i, y) + a.moveDelta(j, x)
	}
	// Both may be of one group: count the first before asking about the second.
	delta += a.moveDelta(i, y)
	a.countMove(i, x, y)
	delta += a.moveDelta(j, x)
	a.countMove(i, y, x)
	return delta
}

// binsDelta is what the terms of bins change by, if two bins used what the
// scratch rows say.
func (a *Assignment) binsDelta(x, y int) int64 {
	m := a.m
	var delta int64
	if len(m.sums) > 0 {
		delta = a.sumOf(x, a.outs) + a.sumOf(y, a.ins) - a.binSum[x] - a.binSum[y]
	}
	for k, t := range m.largest {
		l := &a.largest[k]
		most := max(t.bin[0](x, a.outs), t.bin[0](y, a.ins), l.without(x, y))
		delta += t.Weight * (most - l.most())
	}
	if m.wholeSums > 0 {
		outs, ins := a.whole[:m.wholeSums], a.whole[m.wholeSums:]
		a.wholeOf(x, a.outs, outs)
		a.wholeOf(y, a.ins, ins)
		ox, oy := a.wholeRow(x), a.wholeRow(y)
		for j := range a.total {
			a.total[j] = a.wholeTotal[j] + outs[j] - ox[j] + ins[j] - oy[j]
		}
		for k := range m.wholes {
			delta += a.wholeCostOf(k, a.total) - a.wholeCost[k]
		}
	}
	return delta
}

// moveDelta is what the terms of moves change by if an item goes to a bin.
func (a *Assignment) moveDelta(item, to int) int64 {
	var delta int64
	if len(a.m.moved) > 0 {
		delta = a.moveOf(item, to) - a.binMove[item]
	}
	home := a.m.Initial[item]
	was, will := a.place[item] != home, int32(to) != home
	if was == will {
		return delta
	}
	for k, t := range a.m.grouped {
		g := &a.grouped[k]
		if will {
			delta += t.Weight * int64(g.ifAdded(t.group[item])-g.most)
		} else {
			delta += t.Weight * int64(g.ifDropped(t.group[item])-g.most)
		}
	}
	return delta
}

// countMove keeps the group terms' counts when an item goes from bin to bin.
func (a *Assignment) countMove(item, from, to int) {
	home := int(a.m.Initial[item])
	if (from == home) == (to == home) {
		return
	}
	for k, t := range a.m.grouped {
		if from == home {
			a.grouped[k].add(t.group[item])
		} else {
			a.grouped[k].drop(t.group[item])
		}
	}
}
