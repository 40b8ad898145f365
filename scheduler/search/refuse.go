package search

// Refuses names the rule that keeps an item out of a bin in this state, if one
// does: a rule's name, or a dimension's where room is wanting. Rules about one
// item alone come first, so the reason is the one that will last.
func (a *Assignment) Refuses(item, bin int) (rule string, refused bool) {
	from := int(a.place[item])
	if from == bin {
		return "", false
	}
	for _, list := range [][]*Rule{a.m.fixed, a.m.allow} {
		for _, r := range list {
			if !r.allows(item, bin) {
				return r.Name, true
			}
		}
	}
	if r := a.lonely(item, bin); r != nil {
		return r.Name, true
	}
	if r := a.crowded(item, from, bin, -1); r != nil {
		return r.Name, true
	}
	if d, full := a.full(item, bin); full {
		return a.m.Dims[d].Name, true
	}
	if r := a.scatters(item, bin); r != nil {
		return r.Name, true
	}
	if !a.withinMost(item, bin) {
		return a.m.mostName, true
	}
	return "", false
}

// Shift puts an item into a bin if no rule refuses that; else it names the
// rule.
func (a *Assignment) Shift(item, bin int) (rule string, refused bool) {
	if rule, refused = a.Refuses(item, bin); !refused {
		a.shift(item, bin)
	}
	return rule, refused
}

// ShiftDelta is what the cost would change by if an item went to a bin.
func (a *Assignment) ShiftDelta(item, bin int) int64 {
	if int(a.place[item]) == bin {
		return 0
	}
	return a.shiftDelta(item, bin)
}

// allowed says whether the rules about one item and one bin let it in.
func (a *Assignment) allowed(item, bin int) bool {
	for _, r := range a.m.fixed {
		if !r.allows(item, bin) {
			return false
		}
	}
	for _, r := range a.m.allow {
		if !r.allows(item, bin) {
			return false
		}
	}
	return true
}

// withinMost says whether the limit of moved items lets an item go to a bin.
func (a *Assignment) withinMost(item, bin int) bool {
	home := a.m.Initial[item]
	return len(a.away) < a.m.most || a.place[item] != home || int32(bin) == home
}

// full is a dimension in which a bin has no room for an item.
func (a *Assignment) full(item, bin int) (int, bool) {
	m := a.m
	size, at := a.size(item), bin*m.dims
	for _, d := range m.lasting {
		if a.use[at+d]+size[d] > m.capacity[at+d] && size[d] > 0 {
			return d, true
		}
	}
	if m.Initial[item] == int32(bin) {
		return 0, false // it has never ceased to be counted here
	}
	for _, d := range m.transit {
		if a.held[at+d]+size[d] > m.capacity[at+d] && size[d] > 0 {
			return d, true
		}
	}
	return 0, false
}

// scatters is the Spread or Near rule that an item would break by going to a
// bin, or nil.
func (a *Assignment) scatters(item, bin int) *Rule {
	if len(a.spread)+len(a.near) == 0 {
		return nil
	}
	from := int(a.place[item])
	a.detach(item, from)
	a.attach(item, bin)
	r := a.scattered(item, from, bin)
	a.detach(item, bin)
	a.attach(item, from)
	return r
}

// mayShift says whether all rules but Spread and Near let an item go to a bin.
func (a *Assignment) mayShift(item, bin int) bool {
	if _, full := a.full(item, bin); full {
		return false
	}
	return a.withinMost(item, bin) && a.allowed(item, bin) && a.lonely(item, bin) == nil && a.crowded(item, int(a.place[item]), bin, -1) == nil
}

// maySwap says whether room and the rules about one item let two items of
// different bins change places.
func (a *Assignment) maySwap(i, j int) bool {
	x, y := int(a.place[i]), int(a.place[j])
	if !a.fitsFor(i, j, y) || !a.fitsFor(j, i, x) {
		return false
	}
	home := a.m.Initial
	after := len(a.away)
	for _, move := range [2][2]int{{i, y}, {j, x}} {
		if was := a.place[move[0]] != home[move[0]]; was {
			after--
		}
		if int32(move[1]) != home[move[0]] {
			after++
		}
	}
	return (after <= a.m.most || after <= len(a.away)) && a.allowed(i, y) && a.allowed(j, x)
}

// fitsFor says whether a bin has room for an item once another one has left.
func (a *Assignment) fitsFor(item, leaving, bin int) bool {
	m := a.m
	size, less, at := a.size(item), a.size(leaving), bin*m.dims
	for _, d := range m.lasting {
		if more := size[d] - less[d]; a.use[at+d]+more > m.capacity[at+d] && more > 0 {
			return false
		}
	}
	if m.Initial[item] == int32(bin) {
		return true
	}
	for _, d := range m.transit {
		more := size[d]
		if m.Initial[leaving] != int32(bin) {
			more -= less[d]
		}
		if a.held[at+d]+more > m.capacity[at+d] && more > 0 {
			return false
		}
	}
	return true
}

// swapBreaks says whether two items that change places break a rule about
// groups.
func (a *Assignment) swapBreaks(i, j int) bool {
	if !a.m.hasGroups {
		return false
	}
	x, y := int(a.place[i]), int(a.place[j])
	if a.crowded(i, x, y, j) != nil || a.crowded(j, y, x, i) != nil {
		return true
	}
	a.detach(i, x)
	a.detach(j, y)
	broken := a.lonely(i, y) != nil
	a.attach(i, y)
	broken = broken || a.lonely(j, x) != nil
	a.attach(j, x)
	broken = broken || a.scattered(i, x, y) != nil || a.scattered(j, y, x) != nil
	a.detach(i, y)
	a.detach(j, x)
	a.attach(i, x)
	a.attach(j, y)
	return broken
}
