// Package scheduler decides which VM should move where. [Plan] is a function
// from a value to a value: it reads nothing but its input and gives the same
// result for the same input, down to the order of moves. [Explain] says of one
// VM what Plan thinks of every target. DESIGN.md has the model with worked
// numbers.
package scheduler

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Input is all that a plan depends on.
type Input struct {
	State  cluster.State
	Policy string    // "" takes the State's
	Now    time.Time // ages and cooldowns are judged against it, or State.Now if that is later
}

// Result is a plan, or the reason why there is none.
type Result struct {
	Index   uint64 // applied index of the State that was planned on
	Policy  string
	Moves   []Step              // in order
	Code    cluster.Code        // why nothing moves; "" if something does
	Text    string              // the same in words
	Host    string              // id of the host that the plan is about, "" if none suffers
	Refused []cluster.Candidate // the best that were refused, at most cluster.MaxCandidates
	Counts  []cluster.CodeCount // all refusals by code, sorted by code
}

// Step is one move of a plan.
type Step struct {
	VM        string
	VMName    string
	Source    string
	Target    string
	Reason    string // for the operator
	Predicted cluster.Effect
}

// maxSteps bounds a plan: more would be decided on figures that the first
// steps have made old.
const maxSteps = 3

// policy picks a move off a suffering host, or refuses all.
type policy func(f *fleet, source *host, note *notes) (choice, bool)

var policies = map[string]policy{
	"demand":          demand,
	"half-difference": halfDifference,
}

// Plan looks for moves that relieve the hosts that have suffered long enough.
// It plans the same in every mode: whether a step is an order or only a
// recommendation is for the caller to say.
func Plan(in Input) Result {
	f := newFleet(in)
	r := Result{Index: in.State.Index, Policy: f.policy}
	pick, known := policies[f.policy]
	if !known {
		r.Code, r.Text = cluster.CodeModeOff, fmt.Sprintf("policy is %s", f.policy)
		return r
	}
	suffering, why := f.suffering()
	if len(suffering) == 0 {
		r.Code, r.Text = why.Code, why.Text
		return r
	}
	note := newNotes()
	r.Host = suffering[0].id
	for _, source := range suffering {
		for len(r.Moves) < maxSteps {
			c, ok := pick(f, source, note)
			if !ok {
				break
			}
			r.Moves = append(r.Moves, f.step(c))
			f.commit(c)
		}
	}
	r.Refused, r.Counts = note.best(), note.counts()
	if len(r.Moves) == 0 {
		r.Code, r.Text = note.summary(suffering[0])
	}
	return r
}

// choice is a move that passed every filter, with its prediction.
type choice struct {
	vm             *vm
	source, target *host
	before, after  float64 // worst pain of the two ends
	sourceAfter    share
	targetAfter    share
	sourceNow      share // as modelled, like the others: predictions compare like with like
	targetNow      share
}

// step puts a choice into words and figures.
func (f *fleet) step(c choice) Step {
	return Step{
		VM: c.vm.uuid, VMName: c.vm.name, Source: c.source.id, Target: c.target.id, Predicted: f.effect(c),
		Reason: fmt.Sprintf("steal on %s %v > %v, held %v; %s (demand %.1f CPUs, %v) to %s lowers the worst predicted steal %s -> %s",
			c.source.name, c.source.pain, f.set.Enter, c.source.state.Excess.Round(time.Second), c.vm.name, c.vm.demand,
			c.vm.facts.MaxMemory, c.target.name, percent(c.before), percent(c.after)),
	}
}

// assumedBandwidth is what a migration is taken to copy at while nothing has
// been measured: most of a 1 Gbit/s link.
const assumedBandwidth = 110 << 20

func (f *fleet) effect(c choice) cluster.Effect {
	bandwidth := cluster.BytesPerSecond(assumedBandwidth)
	if f.set.Bandwidth != 0 {
		bandwidth = f.set.Bandwidth
	}
	seconds := float64(c.vm.facts.MaxMemory) / float64(bandwidth)
	return cluster.Effect{
		VMStealBefore: c.vm.pain(), VMStealAfter: ppm(c.targetAfter.steal(c.vm.perVCPU)),
		SourceStealBefore: c.source.pain, SourceStealAfter: ppm(c.sourceAfter.pain()),
		TargetStealBefore: c.target.pain, TargetStealAfter: ppm(c.targetAfter.pain()),
		Duration: time.Duration(seconds * float64(time.Second)), Bytes: c.vm.facts.MaxMemory,
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

// ppm rounds a share to parts per million.
func ppm(share float64) cluster.Ratio { return cluster.Ratio(float64(share*1e6) + 0.5) }
