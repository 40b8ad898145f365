package search

import "fmt"

// Step is one move of an order.
type Step struct {
	Item     int
	From, To int
}

// Wave is a set of steps that may run at the same time: every state on the way
// is lawful, whichever of them has begun or ended.
type Wave []Step

// Order puts the moves from a problem's initial assignment to another one into
// waves, big items first. While a wave runs its items count in full on both
// their ends, in every dimension. A cycle is broken through a third bin: one of
// its items moves twice. What cannot be ordered without breaking a rule is left
// out, and listed. AtMost is not asked: it bounds the place, not the way to it.
func Order(p Problem, place []int32) ([]Wave, []Step, error) {
	if len(place) != p.Items {
		return nil, nil, fmt.Errorf("search: an order to places of %d items for %d", len(place), p.Items)
	}
	for i, b := range place {
		if b < 0 || int(b) >= p.Bins {
			return nil, nil, fmt.Errorf("search: item %d is to go to bin %d of %d", i, b, p.Bins)
		}
	}
	o, err := newOrdering(p, place)
	if err != nil {
		return nil, nil, err
	}
	for len(o.todo) > 0 {
		if o.wave() || o.detour() {
			continue
		}
		break
	}
	return o.waves, o.todo, nil
}
