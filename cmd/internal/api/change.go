package api

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// Act is what every request that changes something may say.
type Act struct {
	// ID makes it safe to send the request again: the State takes an ID once.
	// "" lets the server choose one.
	ID     string `json:"id,omitempty"`
	Reason string `json:"reason,omitempty"` // for those who read the record, at most 500 bytes
	// DryRun asks what would come of it, and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// Change is the answer to a request that changes something.
type Change struct {
	Head
	Done bool   `json:"done"` // false: a dry run
	Text string `json:"text"` // what was changed, in words
	Move *Move  `json:"move,omitempty"`
	Mode *Mode  `json:"mode"`
	Join *Join  `json:"join,omitempty"` // what a host needs to join
	// Simulation is what would have come of it in the recorded past; of a dry run
	// of `evenkeel policy set` only.
	Simulation *Simulation `json:"simulation,omitempty"`
}

// Mode is what automation may do.
type Mode struct {
	Mode   cluster.Mode `json:"mode"` // off, recommend or auto
	By     string       `json:"by"`   // who set it
	For    string       `json:"for"`  // whom auto is for, "" for all
	Paused *Pause       `json:"paused"`
	Frozen *Freeze      `json:"frozen"`
}

// The requests that change something.
type (
	// ModeRequest sets the mode. Under auto, no VM moves to a host that its
	// pre-flight checks speak against.
	ModeRequest struct {
		Act
		Mode cluster.Mode `json:"mode"` // off, recommend or auto
		// VMs and Hosts are whom auto is for: patterns of names, all if there are
		// none. Of the others moves are recommended.
		VMs   []string `json:"vms,omitempty"`
		Hosts []string `json:"hosts,omitempty"` // both ends of a move must be among them
	}
	// PauseRequest stops automation for a while: all of it, or what it does to
	// one host or VM.
	PauseRequest struct {
		Act
		ForSeconds float64 `json:"for_seconds"`
		Host       string  `json:"host,omitempty"` // name or id
		VM         string  `json:"vm,omitempty"`   // name or UUID
	}
	// ResumeRequest lifts a pause and a freeze, or the pause of one host or VM.
	ResumeRequest struct {
		Act
		Host string `json:"host,omitempty"` // name or id
		VM   string `json:"vm,omitempty"`   // name or UUID
	}
	// CancelRequest takes an order back, or aborts its migration.
	CancelRequest struct {
		Act
		Move string `json:"move"` // id
	}
	// ResolveRequest says where a VM runs after a move of unknown outcome.
	ResolveRequest struct {
		Act
		Move      string `json:"move"`       // id
		RunningOn string `json:"running_on"` // a host's name or id, or none
	}
)
