package search

import "fmt"

// Rule is one named condition that no move may break. A problem whose initial
// assignment breaks a rule is searched all the same: then no move makes that
// worse.
type Rule struct {
	Name string

	kind   ruleKind
	allows func(item, bin int) bool
	groups [][]int32 // items of each group
	area   []int32   // zone or neighbourhood of each bin
	least  []int32   // distinct zones of each group
	needs  [][]int32 // groups that each group needs
	share  []int32   // items that an area may have of each group
	most   int
}

type ruleKind uint8

const (
	allowRule ruleKind = iota + 1
	apartRule
	spreadRule
	nearRule
	atMostRule
	onlyRule
	shareRule
	togetherRule
)

// Allow lets an item into a bin only if a function of the two says so. It is
// asked often and by many goroutines at once.
func Allow(name string, allows func(item, bin int) bool) Rule {
	return Rule{Name: name, kind: allowRule, allows: allows}
}

// Only lets nothing but the given items leave their initial bin.
func Only(name string, movable func(item int) bool) Rule {
	return Rule{Name: name, kind: onlyRule, allows: func(item, _ int) bool { return movable(item) }}
}

// AtMost lets at most so many items be away from their initial bin. An item
// that returns makes room for another.
func AtMost(name string, items int) Rule {
	return Rule{Name: name, kind: atMostRule, most: items}
}

// Apart keeps the items of each group in bins of their own.
func Apart(name string, groups [][]int32) Rule {
	return Rule{Name: name, kind: apartRule, groups: groups}
}

// Spread keeps the items of each group in at least so many distinct zones.
// zone has the zone of each bin, least the number for each group.
func Spread(name string, groups [][]int32, zone, least []int32) Rule {
	return Rule{Name: name, kind: spreadRule, groups: groups, area: zone, least: least}
}

// Share lets no area have more than so many items of each group. area has the
// area of each bin, most the number for each group. An area that has too many
// takes none but those that it had at first, and they may move within it.
func Share(name string, groups [][]int32, area, most []int32) Rule {
	return Rule{Name: name, kind: shareRule, groups: groups, area: area, share: most}
}

// Together keeps the items of each group in one bin. Of a group that is scattered
// at first, as many as then stay in one bin; the others go where they like.
func Together(name string, groups [][]int32) Rule {
	return Rule{Name: name, kind: togetherRule, groups: groups}
}

// Near keeps an item of each group that a group needs in every neighbourhood
// with an item of that group. hood has the neighbourhood of each bin.
func Near(name string, groups [][]int32, hood []int32, needs [][]int32) Rule {
	return Rule{Name: name, kind: nearRule, groups: groups, area: hood, needs: needs}
}

func (r *Rule) check(p *Problem) error {
	switch r.kind {
	case allowRule, onlyRule:
		if r.allows == nil {
			return fmt.Errorf("it has no function")
		}
		return nil
	case atMostRule:
		if r.most < 0 {
			return fmt.Errorf("at most %d items", r.most)
		}
		return nil
	case apartRule, togetherRule:
		return r.checkGroups(p, p.Bins)
	case spreadRule, nearRule, shareRule:
		areas, err := r.checkAreas(p)
		if err != nil {
			return err
		}
		return r.checkGroups(p, areas)
	}
	return fmt.Errorf("make it with Allow, Only, AtMost, Apart, Share, Together, Spread or Near")
}

// checkAreas counts the zones or neighbourhoods, which are numbered from 0.
func (r *Rule) checkAreas(p *Problem) (int, error) {
	if len(r.area) != p.Bins {
		return 0, fmt.Errorf("zones of %d bins for %d bins", len(r.area), p.Bins)
	}
	for b, z := range r.area {
		if z < 0 || int(z) >= p.Bins {
			return 0, fmt.Errorf("bin %d is in zone %d: number zones from 0, below the %d bins", b, z, p.Bins)
		}
	}
	if r.kind == spreadRule && len(r.least) != len(r.groups) {
		return 0, fmt.Errorf("numbers of zones for %d groups of %d", len(r.least), len(r.groups))
	}
	if r.kind == shareRule && len(r.share) != len(r.groups) {
		return 0, fmt.Errorf("shares of %d groups for %d", len(r.share), len(r.groups))
	}
	if r.kind == nearRule && len(r.needs) != len(r.groups) {
		return 0, fmt.Errorf("needs of %d groups of %d", len(r.needs), len(r.groups))
	}
	for g, needs := range r.needs {
		for _, n := range needs {
			if n < 0 || int(n) >= len(r.groups) {
				return 0, fmt.Errorf("group %d needs group %d of %d", g, n, len(r.groups))
			}
		}
	}
	return countAreas(r.area), nil
}

func countAreas(area []int32) int {
	most := int32(-1)
	for _, z := range area {
		most = max(most, z)
	}
	return int(most) + 1
}

func (r *Rule) checkGroups(p *Problem, columns int) error {
	if len(r.groups) > maxCells/max(columns, 1) {
		return fmt.Errorf("%d groups and %d bins are too many: at most %d pairs", len(r.groups), columns, maxCells)
	}
	in := make([]int32, p.Items)
	for g, items := range r.groups {
		for _, i := range items {
			if i < 0 || int(i) >= p.Items {
				return fmt.Errorf("group %d has item %d of %d", g, i, p.Items)
			}
			if in[i] == int32(g)+1 {
				return fmt.Errorf("group %d has item %d twice", g, i)
			}
			in[i] = int32(g) + 1
		}
	}
	return nil
}
