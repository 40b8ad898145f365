package search

import (
	"fmt"
	"slices"
	"sync"
)

// epoch is how many iterations workers do between two barriers, at which they
// are asked to stop and may learn from each other. Cut by iterations, never by
// time, a run is the same on every machine.
const epoch = 1 << 14

// MaxWorkers bounds Budget.Workers: each has a copy of the state.
const MaxWorkers = 256

// Budget is how much searching is wanted.
type Budget struct {
	Seed    uint64
	Workers int // 0 is 1
	// Iterations is how many candidates each worker weighs at most. 0 leaves
	// the end to Stop.
	Iterations int64
	// Horizon is how many iterations of each worker the caller expects to
	// have: the search cools over that long. With 0 it does not know when the
	// end comes and cools in cycles, each twice as long as the one before. It
	// is part of the input: a replay passes the same.
	Horizon int64
	// Stop is asked every few milliseconds whether to end now. It may look at
	// a clock, which the search may not: Result.Iterations passed as
	// Iterations gives the same result.
	Stop func() bool
}

// Result is the best assignment found.
type Result struct {
	Place      []int32
	Cost       int64
	Before     int64 // cost of the initial assignment
	Terms      []TermValue
	Moves      int   // items that are not in their initial bin
	Iterations int64 // of each worker
}

// TermValue is one term of the cost of an assignment, before its weight.
type TermValue struct {
	Name   string
	Weight int64
	Value  int64
}

// Solve searches for a cheaper assignment until the budget is spent. The
// result breaks no rule that the initial assignment keeps, and never costs
// more.
func Solve(p Problem, b Budget) (Result, error) {
	if err := b.check(); err != nil {
		return Result{}, err
	}
	m, err := compile(&p)
	if err != nil {
		return Result{}, err
	}
	team := make([]*worker, max(b.Workers, 1))
	for i := range team {
		team[i] = newWorker(m, b, i)
	}
	done := int64(0)
	for done < b.Iterations || b.Iterations == 0 {
		if b.Stop != nil && b.Stop() {
			break
		}
		done += epoch
		if b.Iterations > 0 {
			done = min(done, b.Iterations)
		}
		run(team, done)
		meet(team)
	}
	return best(team).result(p.Initial, done), nil
}

func (b *Budget) check() error {
	switch {
	case b.Workers < 0 || b.Workers > MaxWorkers:
		return fmt.Errorf("search: %d workers: from 1 to %d", b.Workers, MaxWorkers)
	case b.Iterations < 0 || b.Horizon < 0:
		return fmt.Errorf("search: %d iterations with horizon %d: neither is negative", b.Iterations, b.Horizon)
	case b.Iterations == 0 && b.Stop == nil:
		return fmt.Errorf("search: neither Iterations nor Stop is given: it would never end")
	}
	return nil
}

// run lets all workers work up to an iteration.
func run(team []*worker, until int64) {
	if len(team) == 1 {
		team[0].run(until)
		return
	}
	var all sync.WaitGroup
	for _, w := range team {
		all.Go(func() { w.run(until) })
	}
	all.Wait()
}

// best is the worker with the cheapest assignment, the first of equals.
func best(team []*worker) *worker {
	return slices.MinFunc(team, func(x, y *worker) int {
		switch {
		case x.bestCost < y.bestCost:
			return -1
		case x.bestCost > y.bestCost:
			return 1
		}
		return 0
	})
}
