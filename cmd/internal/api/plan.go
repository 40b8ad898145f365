package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Plan is what the leader would do now.
type Plan struct {
	Head
	Policy string       `json:"policy"`
	Mode   cluster.Mode `json:"mode"`
	// Held is why no automatic move may be ordered now, null if one may.
	Held       *Refusal            `json:"held"`
	Host       string              `json:"host"` // whom the plan relieves, "" if nobody suffers
	Code       cluster.Code        `json:"code"` // why there is no step, "" if there is one
	Text       string              `json:"text"`
	Steps      []Step              `json:"steps"`      // in order
	Candidates []Candidate         `json:"candidates"` // the best that were refused
	Counts     []cluster.CodeCount `json:"counts"`     // all refusals by code
	Fleet      *FleetPlan          `json:"fleet"`      // null unless a plan for the whole fleet was asked for
}

// FleetPlan is what a plan for the whole fleet does. Contention is a fraction.
type FleetPlan struct {
	WorstBefore float64 `json:"worst_contention_before"` // of the VM that suffers most
	WorstAfter  float64 `json:"worst_contention_after"`
	// CPUs that all VMs together wait for.
	WaitingBefore float64 `json:"waiting_cpus_before"`
	WaitingAfter  float64 `json:"waiting_cpus_after"`
	// VMs by which rules are broken.
	BrokenBefore int `json:"rules_broken_before"`
	BrokenAfter  int `json:"rules_broken_after"`
	// Left counts moves that would have helped and that no order had room for, or
	// that a rule refused.
	Left        int     `json:"left"`
	CopySeconds float64 `json:"copy_seconds"` // of all moves, one after the other
	Weighed     int     `json:"weighed"`      // candidates
}

// Step is one move of a plan.
type Step struct {
	VM        string `json:"vm"`
	VMUUID    string `json:"vm_uuid"`
	Source    string `json:"source"`
	Target    string `json:"target"`
	Reason    string `json:"reason"`
	Predicted Effect `json:"predicted"`
}

func (s *Server) planNow(ctx context.Context, v view, req *PlanRequest) (*Plan, error) {
	if req.Policy != "" && !slices.Contains(cluster.Policies, req.Policy) {
		return nil, invalid("policy %.40q; it is one of %s", req.Policy, strings.Join(cluster.Policies, ", "))
	}
	select { // curiosity must not take the CPU from the leader's own planning
	case s.plan <- struct{}{}:
		defer func() { <-s.plan }()
	case <-ctx.Done():
		return nil, connect.NewError(connect.CodeUnavailable, ctx.Err())
	}
	in := scheduler.Input{State: v.state, Policy: req.Policy, Now: v.now.Std()}
	if req.Moves != 0 {
		return fleetPlan(ctx, v, in, req.Moves)
	}
	return planOf(v, scheduler.Plan(in)), nil
}

// The budget of a plan for the whole fleet: some seconds of one CPU, and no
// longer than somebody waits for it.
const (
	fleetIterations = 2_000_000
	maxFleetMoves   = 1000
	fleetTime       = 5 * time.Second
)

func fleetPlan(ctx context.Context, v view, in scheduler.Input, most int) (*Plan, error) {
	if most < 0 || most > maxFleetMoves {
		return nil, invalid("a plan of %d moves; it is of 1 to %d", most, maxFleetMoves)
	}
	in.Seed, in.Workers, in.Iterations = 1, 1, fleetIterations
	end := time.Now().Add(fleetTime)
	s := scheduler.Balance(in, most, func() bool { return ctx.Err() != nil || time.Now().After(end) })
	out := planOf(v, s.Result)
	out.Fleet = &FleetPlan{
		WorstBefore: s.Before.Worst.Float(), WorstAfter: s.After.Worst.Float(),
		WaitingBefore: s.Before.Waiting.CPUs(), WaitingAfter: s.After.Waiting.CPUs(),
		BrokenBefore: s.Before.Broken, BrokenAfter: s.After.Broken,
		Left: s.Left, CopySeconds: s.Copy.Seconds(), Weighed: s.Iterations,
	}
	return out, nil
}

func planOf(v view, r scheduler.Result) *Plan {
	out := &Plan{
		Head: v.head("Plan"), Policy: r.Policy, Mode: v.state.Mode, Held: refusalOf(v.state.Holding()),
		Host: hostName(v.state, r.Host), Code: r.Code, Text: r.Text, Steps: []Step{},
		Candidates: candidatesOf(v.state, vmNames(v.state), nil, r.Refused), Counts: some(r.Counts),
	}
	for _, m := range r.Moves {
		out.Steps = append(out.Steps, Step{
			VM: m.VMName, VMUUID: m.VM, Source: v.state.HostName(m.Source), Target: v.state.HostName(m.Target),
			Reason: m.Reason, Predicted: effectOf(m.Predicted),
		})
	}
	return out
}
