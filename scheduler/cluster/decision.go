package cluster

import "slices"

// Decision is the record of an evaluation: what was decided, on what, and
// what was refused with which reason. An evaluation that moves nothing is
// recorded with the same care; repeated ones are folded into one record.
type Decision struct {
	ID        string      `json:"id"` // d-…, see State.NextDecisionID
	At        Time        `json:"at"`
	Index     uint64      `json:"index"`                // applied index of the State that was planned on
	PlannedAt Time        `json:"planned_at,omitempty"` // the time that was planned with: with Index and Seed it is all of the planner's input
	Seed      uint64      `json:"seed,omitempty"`       // of policies that draw lots
	Input     Chain       `json:"input,omitempty"`      // of the State that was planned on
	Term      uint64      `json:"term"`
	Leader    string      `json:"leader"` // member UUID
	Mode      Mode        `json:"mode"`
	Policy    string      `json:"policy"`
	Trigger   Trigger     `json:"trigger"`
	Result    Result      `json:"result"`
	Code      Code        `json:"code,omitempty"`     // why nothing moved
	Text      string      `json:"text"`               // in words
	Proposed  []Candidate `json:"proposed,omitempty"` // what should move, best first
	Refused   []Candidate `json:"refused,omitempty"`  // the best refused, at most MaxCandidates
	Counts    []CodeCount `json:"counts,omitempty"`   // refusals by code, sorted by code
	Moves     []string    `json:"moves,omitempty"`    // ids of the orders
	Repeated  int         `json:"repeated,omitempty"` // further evaluations with the same outcome
	LastAt    Time        `json:"last_at"`
	LastIndex uint64      `json:"last_index"`
	Asked     *Asked      `json:"asked,omitempty"`  // what an operator ordered, if it is not evenkeel's own decision
	Undoes    string      `json:"undoes,omitempty"` // id of the move that is to be taken back
}

// Asked is an operator's order to move one VM.
type Asked struct {
	By     string `json:"by"`
	VM     string `json:"vm"`
	Target string `json:"target,omitempty"` // host's UUID; "": wherever it is best
}

// Result says what came of an evaluation.
type Result string

// The results.
const (
	ResultMoved       Result = "moved"       // orders were given
	ResultRecommended Result = "recommended" // the mode keeps evenkeel from giving them
	ResultNothing     Result = "nothing"
)

// Candidate is a move that was looked at.
type Candidate struct {
	VM        string `json:"vm"`
	Source    string `json:"source"`
	Target    string `json:"target,omitempty"` // "" if no target was looked at
	Code      Code   `json:"code,omitempty"`   // "" if chosen
	Text      string `json:"text"`
	Predicted Effect `json:"predicted,omitzero"`
	Rule      string `json:"rule,omitempty"` // id of the operators' rule that refused it
	// Score is what policy demand judged it by, of those that were chosen and of
	// the best that was refused.
	Score []ScoreTerm `json:"score,omitempty"`
}

// ScoreTerm is one term of a candidate's score, by its weight: the sum is the
// score, the less the better.
type ScoreTerm struct {
	Name   string      `json:"name"`
	Points MicroPoints `json:"points"`
}

// MicroPoints are millionths of a point of worst contention.
type MicroPoints int64

// Points is the figure for people.
func (m MicroPoints) Points() float64 { return float64(m) / 1e6 }

// CodeCount counts refusals.
type CodeCount struct {
	Code Code `json:"code"`
	N    int  `json:"n"`
}

// MaxCandidates bounds the refused candidates that a decision keeps.
const MaxCandidates = 20

// Bounds of what a candidate says beside its text.
const (
	maxScoreTerms = 16
	maxTermName   = 64
	maxRuleID     = 32
)

// check bounds what a candidate says.
func (c Candidate) check() error {
	long := slices.ContainsFunc(c.Score, func(t ScoreTerm) bool { return len(t.Name) > maxTermName })
	if len(c.Score) > maxScoreTerms || long || len(c.Rule) > maxRuleID {
		return refuse(CodeTooMany, "a candidate with a score of %d terms and a rule of %d bytes", len(c.Score), len(c.Rule))
	}
	return nil
}

// SameOutcome says whether o can be folded into d: nothing was ordered, for
// the same reason. Which of several like VMs looked best is left out of the
// comparison: it changes from second to second and says nothing new.
func (d Decision) SameOutcome(o Decision) bool {
	return d.Result != ResultMoved && d.Result == o.Result && d.Code == o.Code && d.Mode == o.Mode &&
		d.Policy == o.Policy && d.Trigger == o.Trigger && d.Leader == o.Leader && d.Term == o.Term && d.Undoes == o.Undoes &&
		sameEnds(d.Proposed, o.Proposed)
}

// sameEnds compares where the best proposals lead.
func sameEnds(a, b []Candidate) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return a[0].Source == b[0].Source && a[0].Target == b[0].Target
}
