package search

import "slices"

// crowd counts the items of each group by area, for rules and terms that ask how
// many are together.
type crowd struct {
	of       *members
	together bool
	count    []int32   // by group and area
	with     [][]int32 // Together: of each group, how many areas have so many of it
	largest  []int32   // Together: of each group, the most that an area has
	broken   int64     // see Broken

	// What the initial assignment had: by group and area, and of each group in one
	// area at most. What was broken then may be broken as much again, or the walk
	// would not find back from what it tries.
	first []int32
	least []int32
}

func newCrowd(of *members) crowd {
	groups := of.rule.groups
	c := crowd{of: of, together: of.rule.kind == togetherRule, count: make([]int32, len(groups)*of.columns)}
	if !c.together {
		return c
	}
	c.largest = make([]int32, len(groups))
	for _, group := range groups {
		with := make([]int32, len(group)+1)
		with[0] = int32(of.columns)
		c.with = append(c.with, with)
	}
	return c
}

// begin takes what is counted as the initial assignment.
func (c *crowd) begin() { c.first, c.least = slices.Clone(c.count), slices.Clone(c.largest) }

// most is how many of a group an area may have.
func (c *crowd) most(group int32) int32 {
	if c.of.rule.kind == apartRule {
		return 1
	}
	return c.of.rule.share[group]
}

// add counts an item in a bin.
func (c *crowd) add(item, bin int) {
	for _, g := range c.of.groups(item) {
		n := &c.count[int(g)*c.of.columns+int(c.of.column[bin])]
		switch {
		case !c.together:
			if *n >= c.most(g) {
				c.broken++
			}
		default:
			with := c.with[g]
			with[*n]--
			with[*n+1]++
			if *n == c.largest[g] {
				c.largest[g]++
			} else {
				c.broken++
			}
		}
		*n++
	}
}

// drop no longer counts an item in a bin.
func (c *crowd) drop(item, bin int) {
	for _, g := range c.of.groups(item) {
		n := &c.count[int(g)*c.of.columns+int(c.of.column[bin])]
		*n--
		switch {
		case !c.together:
			if *n >= c.most(g) {
				c.broken--
			}
		default:
			with := c.with[g]
			with[*n+1]--
			with[*n]++
			if *n+1 == c.largest[g] && with[*n+1] == 0 {
				c.largest[g]--
			} else {
				c.broken--
			}
		}
	}
}

// delta is what a group is broken more if one of its items goes from bin to bin.
func (c *crowd) delta(group int32, from, to int) (more int64) {
	x, y := c.of.column[from], c.of.column[to]
	if x == y {
		return 0
	}
	row := c.count[int(group)*c.of.columns : int(group+1)*c.of.columns]
	if c.together {
		largest := c.largest[group]
		left := largest
		if row[x] == largest && c.with[group][largest] == 1 {
			left--
		}
		return int64(largest - max(left, row[y]+1))
	}
	if row[y] >= c.most(group) {
		more++
	}
	if row[x] > c.most(group) {
		more--
	}
	return more
}

// refuses says whether the rule keeps an item of a group from going from bin to
// bin. Where it was at first it finds the room that it had.
func (c *crowd) refuses(group int32, from, to, home int) bool {
	if c.together {
		more := c.delta(group, from, to)
		return more > 0 && int64(c.largest[group])-more < int64(c.least[group])
	}
	x, y := c.of.column[from], c.of.column[to]
	if x == y {
		return false
	}
	room, cell := c.most(group), int(group)*c.of.columns+int(y)
	if c.of.column[home] == y {
		room = max(room, c.first[cell])
	}
	return c.count[cell] >= room
}

// alike says whether two items that change places are of one group, for which
// then nothing changes. None is -1.
func (c *crowd) alike(group int32, other int) bool {
	return other >= 0 && slices.Contains(c.of.groups(other), group)
}

// crowded is the Share or Together rule that keeps an item from going from bin
// to bin, in exchange for another item or for none, -1; or nil.
func (a *Assignment) crowded(item, from, to, other int) *Rule {
	for i := range a.crowds {
		c := &a.crowds[i]
		for _, g := range c.of.groups(item) {
			if !c.alike(g, other) && c.refuses(g, from, to, int(a.m.Initial[item])) {
				return c.of.rule
			}
		}
	}
	return nil
}

// brokenDelta is what Broken terms change by if an item goes from bin to bin, in
// exchange for another item or for none, -1.
func (a *Assignment) brokenDelta(item, from, to, other int) (delta int64) {
	for i := range a.bent {
		c := &a.bent[i]
		for _, g := range c.of.groups(item) {
			if !c.alike(g, other) {
				delta += a.m.broken[i].Weight * c.delta(g, from, to)
			}
		}
	}
	return delta
}

// brokenCost is the weighted Broken terms.
func (a *Assignment) brokenCost() (cost int64) {
	for i := range a.bent {
		cost += a.m.broken[i].Weight * a.bent[i].broken
	}
	return cost
}
