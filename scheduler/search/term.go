package search

import "fmt"

// Term is one named part of the cost. What the functions return is fixed
// point: the caller chooses the unit, and keeps weight × term, summed over all
// terms, within an int64. They must depend on nothing but their arguments and
// are called by many goroutines at once. Rows of use belong to the search:
// they are read, not kept.
type Term struct {
	Name   string
	Weight int64

	kind  termKind
	bin   []func(bin int, use []int64) int64
	whole func(sums []int64) int64
	move  func(item, from, to int) int64
	group []int32
	rule  *Rule
}

type termKind uint8

const (
	sumTerm termKind = iota + 1
	largestTerm
	wholeTerm
	movedTerm
	groupTerm
	brokenTerm
)

// Sum is the sum over all bins of a function of what is used there.
func Sum(name string, weight int64, of func(bin int, use []int64) int64) Term {
	return Term{Name: name, Weight: weight, kind: sumTerm, bin: []func(int, []int64) int64{of}}
}

// Largest is the largest value that a function of what is used takes in any bin.
func Largest(name string, weight int64, of func(bin int, use []int64) int64) Term {
	return Term{Name: name, Weight: weight, kind: largestTerm, bin: []func(int, []int64) int64{of}}
}

// Whole is a function of sums over all bins: a deviation, say, of the sums of
// x and x². Floating point is deterministic inside of it only if every product
// is rounded before it is added, float64(x*y): some machines fuse the two.
func Whole(name string, weight int64, of func(sums []int64) int64, sums ...func(bin int, use []int64) int64) Term {
	return Term{Name: name, Weight: weight, kind: wholeTerm, bin: sums, whole: of}
}

// Moved is the sum, over the items that are not in their initial bin, of what
// having moved costs.
func Moved(name string, weight int64, of func(item, from, to int) int64) Term {
	return Term{Name: name, Weight: weight, kind: movedTerm, move: of}
}

// LargestGroup is the largest number of moved items in one group. group has
// the group of each item, -1 for none.
func LargestGroup(name string, weight int64, group []int32) Term {
	return Term{Name: name, Weight: weight, kind: groupTerm, group: group}
}

// Broken is by how much a rule is broken that may be bent: of Apart and Share the
// items that an area has too many, of Together those that are elsewhere than most
// of their group. A move changes it by one for each group of its item, or not.
func Broken(name string, weight int64, rule Rule) Term {
	return Term{Name: name, Weight: weight, kind: brokenTerm, rule: &rule}
}

func (t *Term) check(p *Problem) error {
	for _, f := range t.bin {
		if f == nil {
			return fmt.Errorf("it has no function")
		}
	}
	switch t.kind {
	case sumTerm, largestTerm:
	case wholeTerm:
		if t.whole == nil || len(t.bin) == 0 {
			return fmt.Errorf("it has no function")
		}
	case movedTerm:
		if t.move == nil {
			return fmt.Errorf("it has no function")
		}
	case groupTerm:
		return checkGroup(t.group, p.Items)
	case brokenTerm:
		if k := t.rule.kind; k != apartRule && k != shareRule && k != togetherRule {
			return fmt.Errorf("it is of a rule that is neither Apart nor Share nor Together")
		}
		return t.rule.check(p)
	default:
		return fmt.Errorf("make it with Sum, Largest, Whole, Moved, LargestGroup or Broken")
	}
	return nil
}

// maxGroups bounds the numbers of groups: there is a count for each.
const maxGroups = 1 << 24

// checkGroup refuses a list of one group an item that does not fit the items.
func checkGroup(group []int32, items int) error {
	if len(group) != items {
		return fmt.Errorf("groups of %d items for %d items", len(group), items)
	}
	for i, g := range group {
		if g < -1 || g >= maxGroups {
			return fmt.Errorf("item %d is in group %d: number groups from 0, below %d; -1 is none", i, g, maxGroups)
		}
	}
	return nil
}
