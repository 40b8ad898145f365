package api

// The requests that only read.
type (
	// Empty asks for all there is.
	Empty struct{}
	// HistoryRequest asks for the newest moves or decisions.
	HistoryRequest struct {
		Limit int    `json:"limit,omitempty"` // at most so many; 0: all that the State keeps
		VM    string `json:"vm,omitempty"`    // name or UUID; of moves only
		Live  bool   `json:"live,omitempty"`  // moves in flight only
	}
	// ExplainRequest names a decision, a move, a VM, a host, or latest.
	ExplainRequest struct {
		Subject string `json:"subject"`
	}
	// PlanRequest asks what the leader would do now.
	PlanRequest struct {
		Policy string `json:"policy,omitempty"` // "" for the cluster's own
		// Moves asks for a plan for the whole fleet of at most so many moves,
		// whoever suffers; 0: for what would be ordered now.
		Moves int `json:"moves,omitempty"`
	}
)

// ServerVersion is what a member says of its build.
type ServerVersion struct {
	Head
	Member  string `json:"member"`
	Version string `json:"version"`
	Go      string `json:"go"`
	Level   uint32 `json:"feature_level"` // highest that it knows
}
