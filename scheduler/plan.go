// Package scheduler decides which VM should move where. [Plan] is a function
// from a value to a value: it reads nothing but its input and gives the same
// result for the same input, down to the order of moves. [Explain] says of one
// VM, or of one host's VMs, what Plan thinks of every target. DESIGN.md has
// the model with worked numbers.
package scheduler

import (
	"fmt"
	"math"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Input is all that a plan depends on.
type Input struct {
	State  cluster.State
	Policy string    // "" takes the State's
	Now    time.Time // ages and cooldowns are judged against it, or State.Now if that is later
	// Advise also looks for moves that evenkeel may only recommend.
	Advise bool
	// Seed, Workers and Iterations are the budget of policies that search.
	// pairwise-random draws its lots by the seed; the others look at every move
	// once and need none of them.
	Seed                uint64
	Workers, Iterations int
}

// Result is a plan, or the reason why there is none.
type Result struct {
	Index   uint64 // applied index of the State that was planned on
	Policy  string
	Seed    uint64
	Moves   []Step              // in order
	Code    cluster.Code        // why nothing moves; "" if something does
	Text    string              // the same in words
	Host    string              // id of the host that the plan is about, "" if none suffers
	Refused []cluster.Candidate // the best that were refused, at most cluster.MaxCandidates
	Counts  []cluster.CodeCount // all refusals by code, sorted by code
	// Iterations is how many candidates were weighed.
	Iterations int
}

// Step is one move of a plan.
type Step struct {
	VM        string
	VMName    string
	Source    string
	Target    string
	Code      cluster.Code // what it is for, if not contention
	Reason    string       // for the operator
	Predicted cluster.Effect
	Score     []cluster.ScoreTerm // see cluster.Candidate
}

// maxSteps bounds a plan: more would be decided on figures that the first
// steps have made old.
const maxSteps = 3

// policy is a way to decide: which hosts call for relief, and which move
// relieves one of them.
type policy struct {
	// sources lists the hosts to relieve, most urgent first; if there are none
	// it says why.
	sources func(f *fleet) ([]*host, *cluster.Refusal)
	// call says how a host calls for relief.
	call func(f *fleet, source *host) string
	// calls says why a known host is not among them, or nil if it is.
	calls func(f *fleet, h *host) *cluster.Refusal
	// pick chooses a move off one of them, or notes why there is none.
	pick func(f *fleet, source *host, note *notes) (candidate, bool)
	// worth says why a lawful move does not pay, or nil.
	worth func(f *fleet, c *candidate) *cluster.Refusal
	// recalls says that moves are also held against the past hour.
	recalls bool
}

// policyOf finds a policy by its name.
func policyOf(name string) (policy, bool) {
	switch name {
	case "demand":
		return policy{suffering, suffers, calls, lowerWorst, lowers, true}, true
	case "half-difference":
		return policy{mostLoaded, isLoaded, isMostLoaded, halveGap, narrows, false}, true
	case "pairwise-random":
		return policy{pairedOff, meets, isPairedOff, handOver, narrowsPair, false}, true
	case "threshold":
		return policy{tooBusy, isBusy, isTooBusy, shed, unloads, false}, true
	}
	return policy{}, false
}

// Plan looks for moves that relieve the hosts that call for it. It plans the
// same in every mode: whether a step is an order or only a recommendation is
// for the caller to say.
func Plan(in Input) Result {
	f := newFleet(in)
	r := Result{Index: in.State.Index, Policy: f.policy, Seed: in.Seed}
	p, known := policyOf(f.policy)
	if !known {
		r.Code, r.Text = cluster.CodeModeOff, fmt.Sprintf("policy is %.40s: nothing is planned", f.policy)
		return r
	}
	sources, why := p.sources(f)
	if len(sources) > 0 {
		r.Host, why = sources[0].id, f.closed()
	}
	if why != nil {
		r.Code, r.Text = why.Code, why.Text
		return r
	}
	note := newNotes()
	r.Moves = f.steps(p, sources, note)
	r.Refused, r.Counts, r.Iterations = note.best(f), note.counts(), f.weighed
	if len(r.Moves) == 0 {
		r.Code, r.Text = f.whyNot(p.call(f, sources[0]), note)
	}
	if len(r.Moves) == 0 && p.recalls && f.set.Chains {
		f.chain(in, sources[0], &r)
	}
	return r
}

// whyNot is why nothing moves off a host that calls for relief.
func (f *fleet) whyNot(call string, note *notes) (cluster.Code, string) {
	code, text := note.summary(call)
	if short := f.capacityShort(); code == cluster.CodeWouldNotHelp && short != nil {
		return short.Code, call + ": " + short.Text
	}
	return code, text
}

// steps relieves one source after the other while limits and budgets last.
// Only what is refused before the first step is noted: afterwards the plan's
// own steps are the reason.
func (f *fleet) steps(p policy, sources []*host, note *notes) []Step {
	var out []Step
	for _, source := range sources {
		for len(out) < maxSteps && f.closed() == nil {
			c, ok := p.pick(f, source, note)
			note.judge(f)
			if !ok {
				break
			}
			out = append(out, f.step(c))
			f.commit(c)
			note = newNotes()
		}
	}
	return out
}

// step puts a candidate into words and figures.
func (f *fleet) step(c candidate) Step {
	s := Step{
		VM: c.vm.uuid, VMName: c.vm.facts.Name, Source: c.source.id, Target: c.target.id,
		Reason: f.reason(c), Predicted: f.effect(c), Score: f.terms(&c),
	}
	s.Predicted.VMRunFloor = c.source.floor(c.vm)
	life := c.source.state.LifeFloor(c.vm.facts.Slot)
	s.Predicted.VMRequestsFloor, s.Predicted.VMReceivedFloor = max(life.Requests, 0), max(life.Received, 0)
	s.Predicted.VMRequestsLayer = life.Layer
	f.foresee(&c, &s.Predicted)
	return s
}

// floorMinutes is how many minutes must be known of a VM before its least is
// worth anything.
const floorMinutes = 5

// floor is the least that a VM ran in any minute that is known of it, 0 if few
// are.
func (h *host) floor(v *vm) cluster.MilliCPU {
	least, n := cluster.MilliCPU(math.MaxInt32), 0
	for _, minute := range h.state.Minutes() {
		for _, m := range minute.VMs {
			if m.Slot == v.facts.Slot {
				least, n = min(least, m.Run), n+1
			}
		}
	}
	if n < floorMinutes {
		return 0
	}
	return least
}
