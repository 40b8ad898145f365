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
	PlannedAt  Time                `json:"planned_at"` // the time that was planned with
	Seed       uint64              `json:"seed"`       // of policies that draw lots
	Input      cluster.Chain       `json:"input"`      // digest of that State: SHA-256 over all entries up to it, in hex; "" if unknown
	Moves      []string            `json:"moves"`      // ids of the orders
	Undoes     string              `json:"undoes"`     // id of the move that made things worse and is to be taken back, "" if none
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
	Rule      string       `json:"rule"` // id of the rule that refuses it, "" if none
	// Score is what the candidate was judged by, the less the better; null: it was
	// not, or only the best refused one's is kept.
	Score *Score `json:"score"`
}

// Score is the sum of a candidate's terms. A point is one of worst contention.
type Score struct {
	Points float64     `json:"points"`
	Terms  []ScoreTerm `json:"terms"`
}

// ScoreTerm is one term of a score, by its weight.
type ScoreTerm struct {
	Name   string  `json:"name"`
	Points float64 `json:"points"`
}

func scoreOf(terms []cluster.ScoreTerm) *Score {
	if len(terms) == 0 {
		return nil
	}
	out, sum := &Score{}, cluster.MicroPoints(0)
	for _, t := range terms {
		out.Terms = append(out.Terms, ScoreTerm{t.Name, t.Points.Points()})
		sum += t.Points
	}
	out.Points = sum.Points()
	return out
}

func decisionOf(s cluster.State, vms names, d cluster.Decision) Decision {
	return Decision{
		ID: d.ID, At: timeOf(d.At), LastAt: timeOf(d.LastAt), Repeated: d.Repeated,
		Result: d.Result, Code: d.Code, Text: d.Text, Mode: d.Mode, Policy: d.Policy, Trigger: d.Trigger,
		Leader: s.HostName(d.Leader), Term: d.Term, PlannedOn: d.Index, PlannedAt: timeOf(d.PlannedAt), Seed: d.Seed, Input: d.Input,
		Moves: some(d.Moves), Undoes: d.Undoes, Candidates: candidatesOf(s, vms, d.Proposed, d.Refused), Counts: some(d.Counts),
	}
}

func candidatesOf(s cluster.State, vms names, chosen, refused []cluster.Candidate) []Candidate {
	out := make([]Candidate, 0, len(chosen)+len(refused))
	add := func(c cluster.Candidate, chosen bool) {
		out = append(out, Candidate{
			VM: vms.of(c.VM), VMUUID: c.VM, Source: s.HostName(c.Source), Target: hostName(s, c.Target),
			Chosen: chosen, Code: c.Code, Text: c.Text, Predicted: effectOf(c.Predicted), Rule: c.Rule, Score: scoreOf(c.Score),
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
