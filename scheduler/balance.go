package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/search"
)

// Sequence is a plan for the whole fleet.
type Sequence struct {
	Result
	Before, After FleetView
	Terms         []CostTerm
	// Left counts moves that the search wanted and that are not in the plan: no
	// lawful order had room for them, or a rule refused them on a closer look.
	Left int
	Copy time.Duration // of all moves, one after the other
}

// FleetView is how a fleet fares as predicted.
type FleetView struct {
	Worst   cluster.Ratio    // contention of the VM that suffers most
	Waiting cluster.MilliCPU // CPUs that all VMs together wait for
	Broken  int              // VMs by which rules are broken, see cluster.Group

	// The first two by the weights of the VMs' classes: what plans are judged by.
	worst   cluster.Ratio
	waiting cluster.MilliCPU
}

// CostTerm is one term of the search's cost.
type CostTerm struct {
	Name          string
	Weight        int64
	Before, After int64
}

// Balance looks for at most so many moves that leave the whole fleet better off,
// whoever calls for relief: an operator's plan for a quiet hour. It weighs moves,
// exchanges and chains, now and over the past hour. Every step, in order, is lawful
// when its turn comes, and the worst contention does not rise. Limits of moves in
// flight and budgets are for whoever carries it out.
//
// The input's Seed, Workers and Iterations bound the search, and stop, which may be
// nil, ends it sooner; Result.Iterations passed as Iterations gives the same again.
func Balance(in Input, most int, stop func() bool) Sequence {
	f := newFleet(in)
	out := Sequence{Result: Result{Index: in.State.Index, Policy: f.policy, Seed: in.Seed}, Before: f.view()}
	out.After = out.Before
	w, problem := f.whole(f.hosts, most)
	found, err := search.Solve(problem, search.Budget{
		Seed: in.Seed, Workers: in.Workers, Iterations: int64(in.Iterations), Horizon: int64(in.Iterations), Stop: stop,
	})
	if err != nil { // figures are bounded where they come in
		out.Code, out.Text = cluster.CodeAbsurdFigure, err.Error()
		return out
	}
	out.Iterations = int(found.Iterations)
	out.price(problem, found)
	f.carry(w.wanted(found.Place), &out)
	if len(out.Moves) == 0 {
		out.Code, out.Text = cluster.CodeWouldNotHelp, fmt.Sprintf("no plan of at most %d moves leaves the fleet better off by more than it costs", most)
	}
	return out
}

// price tells what each term of the cost was and would be.
func (s *Sequence) price(p search.Problem, found search.Result) {
	before, err := search.New(p)
	if err != nil {
		return
	}
	for i, t := range before.Terms() {
		s.Terms = append(s.Terms, CostTerm{t.Name, t.Weight, t.Value, found.Terms[i].Value})
	}
}

// wanted are the moves of an assignment.
func (w *whole) wanted(place []int32) []candidate {
	var out []candidate
	for i, b := range place {
		if it := w.items[i]; int(b) != it.host {
			out = append(out, candidate{vm: it.vm, source: w.hosts[it.host], target: w.hosts[b]})
		}
	}
	return out
}

// carry takes the wanted moves one after the other, each as if those before it
// were done. What has to wait for others to make room is tried again after them;
// where all wait for each other, one steps aside; what the fleet's own rules and
// model refuse for good is left out.
func (f *fleet) carry(wanted []candidate, out *Sequence) {
	for len(wanted) > 0 {
		before := len(wanted)
		wanted = slices.DeleteFunc(wanted, func(want candidate) bool { return f.take(want, out) })
		if len(wanted) < before {
			continue
		}
		i := slices.IndexFunc(wanted, func(want candidate) bool { return f.mustStepAside(want, wanted) && f.stepAside(want, out) })
		if i < 0 {
			break
		}
		wanted = slices.Delete(wanted, i, i+1)
	}
	out.Left = len(wanted)
	if after := f.view(); len(out.Moves) > 0 && after.better(out.Before) {
		out.After = after
	} else {
		out.Left, out.Moves, out.Copy = out.Left+len(out.Moves), nil, 0
	}
}

// take makes a wanted move the next step, if it may be.
func (f *fleet) take(want candidate, out *Sequence) bool {
	c, r := f.next(want, out.Before.worst)
	if r != nil {
		return false
	}
	f.append(c, out)
	return true
}

func (f *fleet) append(c candidate, out *Sequence) {
	step := f.step(c)
	step.Reason = fmt.Sprintf("moving %s (demand %.1f CPUs) to %s: %s", c.vm.name, c.vm.demand, c.target.name, c.worst())
	out.Moves, out.Copy = append(out.Moves, step), out.Copy+step.Predicted.Duration
	f.commit(c)
	f.finish(c)
}

// mustStepAside says whether a VM waits for others to leave its target: for room,
// or because a rule wants them apart while one of them waits for it in turn.
func (f *fleet) mustStepAside(want candidate, wanted []candidate) bool {
	if memoryFits(f, want.vm, want.target) != nil {
		return true
	}
	awaited := slices.ContainsFunc(wanted, func(o candidate) bool { return o.target == want.source })
	return awaited && ruleForbids(f, want.vm, want.target) != nil
}

// stepAside lets a VM go to the host where it is least in the way, so that others
// may come where it was.
func (f *fleet) stepAside(want candidate, out *Sequence) bool {
	var best *candidate
	for _, h := range f.hosts {
		if h == want.source || h == want.target || h.unknown != nil {
			continue
		}
		c, r := f.next(candidate{vm: want.vm, source: want.source, target: h}, out.Before.worst)
		if r == nil && (best == nil || c.better(best)) {
			best = &c
		}
	}
	if best == nil {
		return false
	}
	f.append(*best, out)
	return true
}

// next says why a move may not be made next, or nil. It may leave nobody worse
// off than the worst was before the plan.
func (f *fleet) next(want candidate, worst cluster.Ratio) (candidate, *cluster.Refusal) {
	r := f.mayMove(want.source, want.vm)
	if r == nil {
		r = f.mayGo(want.vm, want.target)
	}
	if r != nil {
		return want, r
	}
	c := f.weigh(want.source, want.vm, want.source.outlook(nil, want.vm, 0), want.target)
	if c.after > max(worst, c.before) {
		return c, no(cluster.CodeWouldNotHelp, "%s to %s: %s", c.vm.name, c.target.name, c.worst())
	}
	if r := f.fits(&c); r != nil {
		return c, r
	}
	return c, f.reserved(&c)
}

// finish is what a committed move leaves behind once it is done: its source's
// memory is free, it counts against no limit, and others of its groups may move.
func (f *fleet) finish(c candidate) {
	f.planned--
	f.inFlight--
	c.source.inFlight--
	c.target.inFlight--
	c.source.gate, c.target.gate = nil, nil
	f.rules.Done(c.vm.uuid)
	c.source.memory = c.source.memory.Minus(c.vm.charge)
}

// better says whether a fleet fares better: its worst VM no worse, and all in all
// less to be said against it.
func (v FleetView) better(than FleetView) bool {
	return v.worst <= than.worst && v.against() < than.against()
}

// against is what there is to be said against how a fleet fares, in millionths of
// worst contention and by the weights of the objective: half a point for each CPU
// that is waited for, five for each VM by which a rule is broken.
func (v FleetView) against() int64 {
	return int64(v.worst) + 5*int64(v.waiting) + 50_000*int64(v.Broken)
}

// view is how the fleet fares now.
func (f *fleet) view() (v FleetView) {
	var all outlook
	for _, h := range f.hosts {
		if h.unknown == nil {
			all.worst, all.worstWeighed = max(all.worst, h.now.worst), max(all.worstWeighed, h.now.worstWeighed)
			all.sum, all.sumWeighed = all.sum+h.now.sum, all.sumWeighed+h.now.sumWeighed
		}
	}
	milli := func(cpus float64) cluster.MilliCPU { return cluster.MilliCPU(cpus*1000 + 0.5) }
	return FleetView{ppm(all.worst), milli(all.sum), f.rules.Broken(), ppm(all.worstWeighed), milli(all.sumWeighed)}
}
