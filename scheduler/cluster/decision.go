package cluster

// Decision is the record of an evaluation: what was decided, on what, and
// what was refused with which reason. An evaluation that moves nothing is
// recorded with the same care; repeated ones are folded into one record.
type Decision struct {
	ID        string      `json:"id"` // d-…, see State.NextDecisionID
	At        Time        `json:"at"`
	Index     uint64      `json:"index"`                // applied index of the State that was planned on
	PlannedAt Time        `json:"planned_at,omitempty"` // the time that was planned with: with Index it is all of the planner's input
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
}

// CodeCount counts refusals.
type CodeCount struct {
	Code Code `json:"code"`
	N    int  `json:"n"`
}

// MaxCandidates bounds the refused candidates that a decision keeps.
const MaxCandidates = 20

// SameOutcome says whether o can be folded into d: nothing was ordered, for
// the same reason. Which of several like VMs looked best is left out of the
// comparison: it changes from second to second and says nothing new.
func (d Decision) SameOutcome(o Decision) bool {
	return d.Result != ResultMoved && d.Result == o.Result && d.Code == o.Code && d.Mode == o.Mode &&
		d.Policy == o.Policy && d.Trigger == o.Trigger && d.Leader == o.Leader && d.Term == o.Term &&
		sameEnds(d.Proposed, o.Proposed)
}

// sameEnds compares where the best proposals lead.
func sameEnds(a, b []Candidate) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return a[0].Source == b[0].Source && a[0].Target == b[0].Target
}
