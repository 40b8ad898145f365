package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/search"
)

// Where no single move relieves a host that suffers, a chain may: a VM that is in
// the way moves first. Only its first step is ordered. By the time the next could
// be, the figures are new, and the move that was not to be had before is planned
// like any other; if the world has changed it is not, and the VM that made room is
// where it harms nobody.

const (
	chainHosts = 16 // the one that suffers, and those that have most CPU to spare
	// chainIterations bound the search to some thousandths of a second, for a
	// leader repeats it every second while a host suffers that nothing relieves.
	chainIterations = 5000
)

// chain looks for one that relieves a host.
func (f *fleet) chain(in Input, source *host, r *Result) {
	w, problem := f.whole(f.nearby(source), maxSteps)
	found, err := search.Solve(problem, search.Budget{Seed: in.Seed, Workers: 1, Iterations: chainIterations, Horizon: chainIterations})
	if err != nil { // figures are bounded where they come in
		return
	}
	r.Iterations += int(found.Iterations)
	plan := Sequence{Before: f.view()}
	f.carry(w.wanted(found.Place), &plan)
	relief := plan.Before.worst - plan.After.worst
	if len(plan.Moves) < 2 || relief < f.set.MinGain {
		return
	}
	first, then := plan.Moves[0], plan.Moves[1]
	first.Code = cluster.CodeMakesRoom
	first.Reason = fmt.Sprintf("%s, and no single move helps; %s makes room for %s to %s: worst predicted contention %v -> %v",
		suffers(f, source), short(first.VMName), short(then.VMName), f.host(then.Target).name, plan.Before.Worst, plan.After.Worst)
	r.Moves, r.Code, r.Text = []Step{first}, "", ""
}

// nearby are the hosts that a chain may go over, sorted by id.
func (f *fleet) nearby(source *host) []*host {
	var out []*host
	for _, h := range f.hosts {
		if h != source && h.unknown == nil && f.takes(h) == nil {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *host) int {
		return cmp.Or(cmp.Compare(b.cpus-b.work, a.cpus-a.work), cmp.Compare(a.id, b.id))
	})
	out = append(out[:min(len(out), chainHosts-1)], source)
	slices.SortFunc(out, func(a, b *host) int { return cmp.Compare(a.id, b.id) })
	return out
}
