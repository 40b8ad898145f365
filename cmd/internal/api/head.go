package api

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Version is the apiVersion of every answer.
const Version = "evenkeel/v1"

// Head begins every answer.
type Head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Now is the clock of the member that answers: ages count back from it.
	Now   Time   `json:"now"`
	Index uint64 `json:"index"` // applied index of the State that was read
	// Stale is null if the State holds all that was acknowledged before the
	// request.
	Stale *Stale `json:"stale"`
	// Messages say what the answer could not find out.
	Messages []string `json:"messages,omitempty"`
}

// Stale says that an answer comes from one replica alone.
type Stale struct {
	Seconds float64 `json:"seconds"` // since the cluster's last command that this replica knows
	Why     string  `json:"why"`
}

// List is an answer with items, which are never null.
type List[T any] struct {
	Head
	Items []T `json:"items"`
}

type (
	// HostList is every hypervisor, by name.
	HostList = List[Host]
	// VMList is every VM, by name.
	VMList = List[VM]
	// MoveList is moves, newest first.
	MoveList = List[Move]
	// RuleList is rules, oldest first.
	RuleList = List[Rule]
	// DecisionList is decisions, newest first.
	DecisionList = List[Decision]
	// PeerList is every member, by name.
	PeerList = List[Peer]
	// LocalVMList is what one host counts.
	LocalVMList = List[LocalVM]
)

// Refusal is why evenkeel does not do a thing. Its codes are explained in
// docs/refusals.md.
type Refusal struct {
	Code cluster.Code `json:"code"`
	Text string       `json:"text"`
}

func refusalOf(r *cluster.Refusal) *Refusal {
	if r == nil {
		return nil
	}
	return &Refusal{r.Code, r.Text}
}

// Ref names a host, VM or member by id and name.
type Ref struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}
