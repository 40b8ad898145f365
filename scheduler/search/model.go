package search

// model is a problem made ready to search: what all workers read and none
// changes.
type model struct {
	*Problem
	dims     int
	capacity []int64 // never nil
	lasting  []int   // dimensions that a moved item leaves at once
	transit  []int   // dimensions that it keeps using in its initial bin
	limited  bool    // any bin has any capacity

	sums, largest, wholes, moved, grouped []*Term
	wholeFirst                            []int // of each whole term, where its sums start
	wholeSums                             int

	allow     []*Rule // Allow and Only
	fixed     []*Rule // Only
	most      int     // items that may be away; Items if no rule says less
	mostName  string
	aparts    []members
	spreads   []members
	nears     []members
	crowds    []members // Share and Together
	bent      []members // of Broken terms
	broken    []*Term
	needy     [][][]int32 // of each Near rule, the groups that need a group
	hasGroups bool

	bulk  []int32   // items by size, big first
	tolls []float64 // see newTolls
}

// members is a rule about groups, with the groups of each item in one list.
type members struct {
	rule    *Rule
	columns int
	column  []int32 // of each bin
	first   []int32 // of each item, where its groups start in list; Items+1 long
	list    []int32
}

func compile(p *Problem) (*model, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	m := &model{Problem: p, dims: len(p.Dims), capacity: p.Capacity, most: p.Items}
	m.compileRoom()
	m.compileTerms()
	m.compileRules()
	m.bulk, m.tolls = m.bySize(), newTolls(m)
	return m, nil
}

func (m *model) compileRoom() {
	if m.capacity == nil {
		m.capacity = make([]int64, m.Bins*m.dims)
		for i := range m.capacity {
			m.capacity[i] = Unlimited
		}
	}
	for d, dim := range m.Dims {
		limited := false
		for b := range m.Bins {
			limited = limited || m.capacity[b*m.dims+d] < maxSum
		}
		switch {
		case !limited:
		case dim.Transient:
			m.transit = append(m.transit, d)
		default:
			m.lasting = append(m.lasting, d)
		}
		m.limited = m.limited || limited
	}
}

func (m *model) compileTerms() {
	for i := range m.Terms {
		t := &m.Terms[i]
		switch t.kind {
		case sumTerm:
			m.sums = append(m.sums, t)
		case largestTerm:
			m.largest = append(m.largest, t)
		case wholeTerm:
			m.wholes = append(m.wholes, t)
			m.wholeFirst = append(m.wholeFirst, m.wholeSums)
			m.wholeSums += len(t.bin)
		case movedTerm:
			m.moved = append(m.moved, t)
		case groupTerm:
			m.grouped = append(m.grouped, t)
		case brokenTerm:
			m.broken = append(m.broken, t)
			m.bent = append(m.bent, m.crowdOf(t.rule))
		}
	}
}

func (m *model) compileRules() {
	for i := range m.Rules {
		r := &m.Rules[i]
		switch r.kind {
		case allowRule:
			m.allow = append(m.allow, r)
		case onlyRule:
			m.fixed = append(m.fixed, r)
		case atMostRule:
			if r.most < m.most {
				m.most, m.mostName = r.most, r.Name
			}
		case apartRule:
			m.aparts = append(m.aparts, newMembers(r, m.Items, m.eachBin(), m.Bins, 2))
		case shareRule, togetherRule:
			m.crowds = append(m.crowds, m.crowdOf(r))
		case spreadRule:
			m.spreads = append(m.spreads, newMembers(r, m.Items, r.area, countAreas(r.area), 1))
		case nearRule:
			m.nears = append(m.nears, newMembers(r, m.Items, r.area, countAreas(r.area), 1))
			needy := make([][]int32, len(r.groups))
			for g, needs := range r.needs {
				for _, n := range needs {
					needy[n] = append(needy[n], int32(g))
				}
			}
			m.needy = append(m.needy, needy)
		}
	}
	m.hasGroups = len(m.aparts)+len(m.spreads)+len(m.nears)+len(m.crowds)+len(m.bent) > 0
}

// eachBin numbers bins as areas of their own.
func (m *model) eachBin() []int32 {
	column := make([]int32, m.Bins)
	for b := range column {
		column[b] = int32(b)
	}
	return column
}

// crowdOf lists the groups of a rule that counts how many are together.
func (m *model) crowdOf(r *Rule) members {
	if r.kind == shareRule {
		return newMembers(r, m.Items, r.area, countAreas(r.area), 1)
	}
	return newMembers(r, m.Items, m.eachBin(), m.Bins, 2)
}

// newMembers lists the groups of each item. Groups of fewer than least items
// cannot break the rule and are left out.
func newMembers(r *Rule, items int, column []int32, columns, least int) members {
	of := members{rule: r, columns: columns, column: column, first: make([]int32, items+1)}
	for _, group := range r.groups {
		if len(group) < least {
			continue
		}
		for _, i := range group {
			of.first[i+1]++
		}
	}
	for i := range items {
		of.first[i+1] += of.first[i]
	}
	of.list = make([]int32, of.first[items])
	next := append([]int32(nil), of.first...)
	for g, group := range r.groups {
		if len(group) < least {
			continue
		}
		for _, i := range group {
			of.list[next[i]] = int32(g)
			next[i]++
		}
	}
	return of
}

func (of *members) groups(item int) []int32 {
	return of.list[of.first[item]:of.first[item+1]]
}
