package api

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Decision is the record of an evaluation, also of one that moved nothing.
type Decision struct {
	ID         string              `json:"id"`
	At         Time                `json:"at"`
	LastAt     Time                `json:"last_at"`  // of the newest evaluation folded into it
	Repeated   int                 `json:"repeated"` // further evaluations with the same outcome
	Result     cluster.Result      `json:"result"`   // moved, recommended or nothing
	Code       cluster.Code        `json:"code"`     // why nothing moved, "" if something did
	Text       string              `json:"text"`
	Mode       cluster.Mode        `json:"mode"`
	Policy     string              `json:"policy"`
	Trigger    cluster.Trigger     `json:"trigger"` // auto or operator
	Leader     string              `json:"leader"`  // member's name
	Term       uint64              `json:"term"`
	PlannedOn  uint64              `json:"planned_on"` // applied index of the State that was planned on
	Moves      []string            `json:"moves"`      // ids of the orders
	Candidates []Candidate         `json:"candidates"` // chosen first, then the best refused
	Counts     []cluster.CodeCount `json:"counts"`     // refusals by code
}

// Candidate is a move that was looked at.
type Candidate struct {
	VM        string       `json:"vm"` // name
	VMUUID    string       `json:"vm_uuid"`
	Source    string       `json:"source"`
	Target    string       `json:"target"` // "" if no target was looked at
	Chosen    bool         `json:"chosen"`
	Code      cluster.Code `json:"code"` // "" if chosen
	Text      string       `json:"text"`
	Predicted Effect       `json:"predicted"`
}

func decisionOf(s cluster.State, vms names, d cluster.Decision) Decision {
	return Decision{
		ID: d.ID, At: timeOf(d.At), LastAt: timeOf(d.LastAt), Repeated: d.Repeated,
		Result: d.Result, Code: d.Code, Text: d.Text, Mode: d.Mode, Policy: d.Policy, Trigger: d.Trigger,
		Leader: s.HostName(d.Leader), Term: d.Term, PlannedOn: d.Index,
		Moves: some(d.Moves), Candidates: candidatesOf(s, vms, d.Proposed, d.Refused), Counts: some(d.Counts),
	}
}

func candidatesOf(s cluster.State, vms names, chosen, refused []cluster.Candidate) []Candidate {
	out := make([]Candidate, 0, len(chosen)+len(refused))
	add := func(c cluster.Candidate, chosen bool) {
		out = append(out, Candidate{
			VM: vms.of(c.VM), VMUUID: c.VM, Source: s.HostName(c.Source), Target: hostName(s, c.Target),
			Chosen: chosen, Code: c.Code, Text: c.Text, Predicted: effectOf(c.Predicted),
		})
	}
	for _, c := range chosen {
		add(c, true)
	}
	for _, c := range refused {
		add(c, false)
	}
	return out
}

// some makes a list that JSON shows as [] when it is empty.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
