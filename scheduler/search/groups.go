package search

// spreading counts the items of each group by zone, and in how many zones each
// group is.
type spreading struct {
	count []uint16 // by group and zone
	zones []int32
	least []int32 // what the rule asks for, or the zones at first if fewer
}

// countGroups sets the counts behind the group rules.
func (a *Assignment) countGroups() {
	m := a.m
	for i := range m.aparts {
		a.apart = append(a.apart, make([]uint16, len(m.aparts[i].rule.groups)*m.aparts[i].columns))
	}
	for i := range m.nears {
		a.near = append(a.near, make([]uint16, len(m.nears[i].rule.groups)*m.nears[i].columns))
	}
	for i := range m.spreads {
		of := &m.spreads[i]
		groups := len(of.rule.groups)
		a.spread = append(a.spread, spreading{count: make([]uint16, groups*of.columns), zones: make([]int32, groups), least: make([]int32, groups)})
	}
	for i := range m.crowds {
		a.crowds = append(a.crowds, newCrowd(&m.crowds[i]))
	}
	for i := range m.bent {
		a.bent = append(a.bent, newCrowd(&m.bent[i]))
	}
	for i := range m.Items {
		a.attach(i, int(m.Initial[i]))
	}
	for i := range a.crowds {
		a.crowds[i].begin()
	}
	for i := range a.spread {
		for g, least := range m.spreads[i].rule.least {
			a.spread[i].least[g] = min(least, a.spread[i].zones[g])
		}
	}
	for i, b := range a.place {
		if b != m.Initial[i] {
			a.detach(i, int(m.Initial[i]))
			a.attach(i, int(b))
		}
	}
}

// attach counts an item in a bin.
func (a *Assignment) attach(item, bin int) {
	for i := range a.apart {
		of := &a.m.aparts[i]
		for _, g := range of.groups(item) {
			a.apart[i][int(g)*of.columns+bin]++
		}
	}
	for i := range a.spread {
		of, s := &a.m.spreads[i], &a.spread[i]
		for _, g := range of.groups(item) {
			c := int(g)*of.columns + int(of.column[bin])
			if s.count[c] == 0 {
				s.zones[g]++
			}
			s.count[c]++
		}
	}
	for i := range a.near {
		of := &a.m.nears[i]
		for _, g := range of.groups(item) {
			a.near[i][int(g)*of.columns+int(of.column[bin])]++
		}
	}
	for i := range a.crowds {
		a.crowds[i].add(item, bin)
	}
	for i := range a.bent {
		a.bent[i].add(item, bin)
	}
}

// detach no longer counts an item in a bin.
func (a *Assignment) detach(item, bin int) {
	for i := range a.apart {
		of := &a.m.aparts[i]
		for _, g := range of.groups(item) {
			a.apart[i][int(g)*of.columns+bin]--
		}
	}
	for i := range a.spread {
		of, s := &a.m.spreads[i], &a.spread[i]
		for _, g := range of.groups(item) {
			c := int(g)*of.columns + int(of.column[bin])
			s.count[c]--
			if s.count[c] == 0 {
				s.zones[g]--
			}
		}
	}
	for i := range a.near {
		of := &a.m.nears[i]
		for _, g := range of.groups(item) {
			a.near[i][int(g)*of.columns+int(of.column[bin])]--
		}
	}
	for i := range a.crowds {
		a.crowds[i].drop(item, bin)
	}
	for i := range a.bent {
		a.bent[i].drop(item, bin)
	}
}

// lonely is the Apart rule that keeps an item out of a bin, or nil.
func (a *Assignment) lonely(item, bin int) *Rule {
	for i := range a.apart {
		of := &a.m.aparts[i]
		for _, g := range of.groups(item) {
			if a.apart[i][int(g)*of.columns+bin] > 0 {
				return of.rule
			}
		}
	}
	return nil
}

// scattered is the Spread or Near rule that an item breaks which has gone from
// one bin to another, when all counts are of the state after that; or nil.
func (a *Assignment) scattered(item, from, to int) *Rule {
	for i := range a.spread {
		of, s := &a.m.spreads[i], &a.spread[i]
		for _, g := range of.groups(item) {
			if s.zones[g] < s.least[g] {
				return of.rule
			}
		}
	}
	for i := range a.near {
		of, count := &a.m.nears[i], a.near[i]
		x, y := int(of.column[from]), int(of.column[to])
		if x == y {
			continue
		}
		for _, g := range of.groups(item) {
			for _, n := range of.rule.needs[g] {
				if count[int(n)*of.columns+y] == 0 {
					return of.rule
				}
			}
			if count[int(g)*of.columns+x] > 0 {
				continue
			}
			for _, n := range a.m.needy[i][g] {
				if count[int(n)*of.columns+x] > 0 {
					return of.rule
				}
			}
		}
	}
	return nil
}
