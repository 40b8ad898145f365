package search

import "slices"

// ordering is an order in the making.
type ordering struct {
	m     *model
	a     *Assignment // the state after the waves so far
	todo  []Step      // big items first: they need the room that small ones could take
	waves []Wave

	groups  []members // of the rules about groups, Near last
	going   []int64   // Bins rows: what arrives in the wave in hand
	locked  [][]int   // of each rule about groups, the wave that last touched a group
	detours []bool    // items that made one: it is their only one
}

func newOrdering(p Problem, place []int32) (*ordering, error) {
	// Between waves an item that has arrived no longer counts where it came
	// from; what counts twice while a wave runs, the ordering adds itself.
	p.Dims = slices.Clone(p.Dims)
	for d := range p.Dims {
		p.Dims[d].Transient = false
	}
	p.Terms = nil
	m, err := compile(&p)
	if err != nil {
		return nil, err
	}
	m.most = m.Items
	o := &ordering{m: m, a: newAssignment(m, m.Initial), going: make([]int64, m.Bins*m.dims), detours: make([]bool, m.Items)}
	o.groups = slices.Concat(m.aparts, m.crowds, m.spreads, m.nears)
	for _, of := range o.groups {
		o.locked = append(o.locked, make([]int, len(of.rule.groups)))
	}
	for _, i := range m.bulk {
		if m.Initial[i] != place[i] {
			o.todo = append(o.todo, Step{int(i), int(m.Initial[i]), int(place[i])})
		}
	}
	return o, nil
}

// wave adds as many of the steps that are left as may run at the same time,
// and says whether there was one.
func (o *ordering) wave() bool {
	var wave Wave
	var left []Step
	for _, s := range o.todo {
		if o.lawful(s) {
			o.begin(s)
			wave = append(wave, s)
		} else {
			left = append(left, s)
		}
	}
	o.todo = left
	o.end(wave)
	return len(wave) > 0
}

// lawful says whether a step may run beside those that the wave has so far. Of
// groups that know each other by a rule only one is touched in a wave, so what
// is lawful alone stays lawful whichever of the steps have ended.
func (o *ordering) lawful(s Step) bool {
	m, at := o.m, s.To*o.m.dims
	for d, x := range o.a.size(s.Item) {
		if x > 0 && o.a.use[at+d]+o.going[at+d]+x > m.capacity[at+d] {
			return false
		}
	}
	if !o.a.allowed(s.Item, s.To) || o.a.lonely(s.Item, s.To) != nil || o.a.crowded(s.Item, s.From, s.To, -1) != nil || o.isLocked(s.Item) {
		return false
	}
	return o.a.scatters(s.Item, s.To) == nil
}

// begin counts a step where it goes; where it comes from it still counts.
func (o *ordering) begin(s Step) {
	for d, x := range o.a.size(s.Item) {
		o.going[s.To*o.m.dims+d] += x
	}
	o.eachGroup(s.Item, func(locked *int) bool {
		*locked = len(o.waves) + 1
		return false
	})
}

// isLocked says whether a step of this wave touches a group that the item's
// groups know.
func (o *ordering) isLocked(item int) bool {
	return o.eachGroup(item, func(locked *int) bool { return *locked == len(o.waves)+1 })
}

// eachGroup calls a function for the item's groups and for those that need
// them or are needed by them, until it returns true.
func (o *ordering) eachGroup(item int, call func(locked *int) bool) bool {
	near := len(o.m.aparts) + len(o.m.crowds) + len(o.m.spreads)
	for r := range o.groups {
		of := &o.groups[r]
		for _, g := range of.groups(item) {
			if call(&o.locked[r][g]) {
				return true
			}
			if r < near {
				continue
			}
			for _, others := range [2][]int32{of.rule.needs[g], o.m.needy[r-near][g]} {
				for _, other := range others {
					if call(&o.locked[r][other]) {
						return true
					}
				}
			}
		}
	}
	return false
}

// end makes the wave's steps part of the state.
func (o *ordering) end(wave Wave) {
	if len(wave) == 0 {
		return
	}
	for _, s := range wave {
		clear(o.going[s.To*o.m.dims : (s.To+1)*o.m.dims])
		o.a.shift(s.Item, s.To)
	}
	o.waves = append(o.waves, wave)
}

// detour sends one item of a cycle to a third bin, small ones first, if that
// lets another one go where it was. It says whether there was one.
func (o *ordering) detour() bool {
	for k := len(o.todo) - 1; k >= 0; k-- {
		s := o.todo[k]
		if o.detours[s.Item] {
			continue
		}
		for n := range o.m.Bins {
			third := (s.To + 1 + n) % o.m.Bins
			aside := Step{s.Item, s.From, third}
			if third == s.From || third == s.To || !o.lawful(aside) {
				continue
			}
			if !o.unblocks(aside) {
				break // nor from any other bin: what it waits for is room here
			}
			o.detours[s.Item] = true
			o.todo[k].From = third
			o.end(Wave{aside})
			return true
		}
	}
	return false
}

// unblocks says whether a step lets one of the others run that are to go where
// it came from.
func (o *ordering) unblocks(aside Step) bool {
	o.a.shift(aside.Item, aside.To)
	defer o.a.shift(aside.Item, aside.From)
	return slices.ContainsFunc(o.todo, func(s Step) bool {
		return s.Item != aside.Item && s.To == aside.From && o.lawful(s)
	})
}
