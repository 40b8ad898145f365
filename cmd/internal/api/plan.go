package api

import (
	"context"
	"slices"
	"strings"

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

// planners are the policies that can be asked for.
var planners = []string{"demand", "half-difference"}

func (s *Server) planNow(ctx context.Context, v view, req *PlanRequest) (*Plan, error) {
	if req.Policy != "" && !slices.Contains(planners, req.Policy) {
		return nil, invalid("policy %.40q; it is one of %s", req.Policy, strings.Join(planners, ", "))
	}
	select { // curiosity must not take the CPU from the leader's own planning
	case s.plan <- struct{}{}:
		defer func() { <-s.plan }()
	case <-ctx.Done():
		return nil, connect.NewError(connect.CodeUnavailable, ctx.Err())
	}
	r := scheduler.Plan(scheduler.Input{State: v.state, Policy: req.Policy, Now: v.now.Std()})
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
	return out, nil
}
