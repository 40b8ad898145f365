package scheduler

import (
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// reserve asks the State's own question of a plan's steps, see
// [cluster.Failover]. An answer costs up to a look at every host's loss, so it
// is asked of those moves alone that would otherwise be made, and remembered
// until a step is taken: it depends on a VM's size and the two hosts only.
type reserve struct {
	built   bool
	books   *cluster.Failover // nil: nothing is asked for
	answers map[spending]*cluster.Refusal
}

type spending struct {
	memory         cluster.Bytes
	source, target *host
}

// reserved says why a move would spend the failover reserve, or nil. Moves that
// an operator asks for do: a person may know that a host is coming back, and
// a drain must not wait for ever.
func (f *fleet) reserved(c *candidate) *cluster.Refusal {
	if f.asked {
		return nil
	}
	r := &f.failover
	if !r.built {
		r.built, r.books, r.answers = true, f.state.Failover(), map[spending]*cluster.Refusal{}
	}
	if r.books == nil {
		return nil
	}
	ask := spending{c.vm.facts.MaxMemory, c.source, c.target}
	why, ok := r.answers[ask]
	if !ok {
		why = r.books.Spends(ask.memory, c.source.id, c.target.id)
		r.answers[ask] = why
	}
	return to(c.vm, c.target, why)
}

// spend takes a step of the plan as done.
func (f *fleet) spend(c *candidate) {
	if r := &f.failover; r.built {
		r.books.Go(c.vm.facts.MaxMemory, c.source.id, c.target.id)
		clear(r.answers)
	}
}

// bestKept is the best of lawful moves that spends no reserve, or nil. Those
// before it are noted.
func (f *fleet) bestKept(lawful []candidate, note *notes) *candidate {
	slices.SortFunc(lawful, func(a, b candidate) int { return a.order(&b) })
	for i := range lawful {
		c := &lawful[i]
		r := f.reserved(c)
		if r == nil {
			return c
		}
		note.refuse(*c, c.vm.uuid, r)
	}
	return nil
}
