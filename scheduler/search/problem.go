package search

import (
	"fmt"
	"math"
)

// Unlimited is the capacity of a bin in a dimension that only terms look at.
const Unlimited = int64(math.MaxInt64)

// maxSum bounds what the sizes of all items and the base of all bins add up to
// in one dimension, so that no sum of them overflows.
const maxSum = int64(1) << 60

// maxCells bounds every table of one row an item, a bin or a group, so that a
// problem cannot ask for more memory than a machine has.
const maxCells = 1 << 28

// Dim is one dimension of what items use and bins hold. Besides resources it
// may be demand in one stretch of time: contention that knows correlation is
// then a function of the summed dimensions.
type Dim struct {
	Name string // how a refusal for want of room in it is called
	// Transient dimensions are used on both ends while an item moves: a moved
	// item counts in full in its initial bin and in its new one.
	Transient bool
}

// Problem is what to assign, and how that is judged. It is not changed, and
// must not change while it is searched.
type Problem struct {
	Items, Bins int
	Dims        []Dim
	Initial     []int32 // bin of each item

	Size     []int64 // Items rows of len(Dims): what an item uses
	Base     []int64 // Bins rows of len(Dims): use that no item causes and none can shift; nil is none
	Capacity []int64 // Bins rows of len(Dims): hard; Unlimited is none; nil is none at all

	Terms []Term // what assignments cost: the sum of weight × term, the less the better
	Rules []Rule // what is lawful, besides capacity
}

// check says what is wrong with a problem, naming the place.
func (p *Problem) check() error {
	dims := len(p.Dims)
	switch {
	case p.Items < 0 || p.Bins < 0 || (p.Items > 0 && p.Bins == 0):
		return fmt.Errorf("search: %d items and %d bins: give at least one bin", p.Items, p.Bins)
	case p.Items > maxCells/max(dims, 1) || p.Bins > maxCells/max(dims, 1):
		return fmt.Errorf("search: %d items and %d bins of %d dimensions are too many: at most %d numbers of each", p.Items, p.Bins, dims, maxCells)
	case len(p.Initial) != p.Items:
		return fmt.Errorf("search: Initial has %d entries for %d items", len(p.Initial), p.Items)
	case len(p.Size) != p.Items*dims:
		return fmt.Errorf("search: Size has %d numbers for %d items of %d dimensions", len(p.Size), p.Items, dims)
	case p.Base != nil && len(p.Base) != p.Bins*dims:
		return fmt.Errorf("search: Base has %d numbers for %d bins of %d dimensions", len(p.Base), p.Bins, dims)
	case p.Capacity != nil && len(p.Capacity) != p.Bins*dims:
		return fmt.Errorf("search: Capacity has %d numbers for %d bins of %d dimensions", len(p.Capacity), p.Bins, dims)
	}
	for i, b := range p.Initial {
		if b < 0 || int(b) >= p.Bins {
			return fmt.Errorf("search: item %d starts in bin %d of %d", i, b, p.Bins)
		}
	}
	return p.checkSums()
}

// checkSums refuses numbers whose sums could overflow.
func (p *Problem) checkSums() error {
	dims := len(p.Dims)
	sums := make([]int64, dims)
	add := func(what string, row []int64) error {
		for i, x := range row {
			d := i % dims
			if x < 0 || x > maxSum-sums[d] {
				return fmt.Errorf("search: %s %d has %d in dimension %d (%s): numbers are not negative and add up to at most %d", what, i/dims, x, d, p.Dims[d].Name, maxSum)
			}
			sums[d] += x
		}
		return nil
	}
	if err := add("item", p.Size); err != nil {
		return err
	}
	if err := add("base of bin", p.Base); err != nil {
		return err
	}
	for i, c := range p.Capacity {
		if c < 0 {
			return fmt.Errorf("search: bin %d has capacity %d in dimension %d (%s)", i/dims, c, i%dims, p.Dims[i%dims].Name)
		}
	}
	for i, t := range p.Terms {
		if err := t.check(p); err != nil {
			return fmt.Errorf("search: term %d (%s): %w", i, t.Name, err)
		}
	}
	for i, r := range p.Rules {
		if err := r.check(p); err != nil {
			return fmt.Errorf("search: rule %d (%s): %w", i, r.Name, err)
		}
	}
	return nil
}
