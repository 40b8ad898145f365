package cluster

import "time"

// Meta says where in the log a command stands.
type Meta struct {
	Index uint64
	Term  uint64
	Entry []byte // as the log has it, for State.Chain; nil: the command is only tried out
}

// Command is the envelope of everything that changes the State. At is stamped
// by the leader when it proposes; State.Now is the largest At so far.
type Command struct {
	Level uint32 // feature level that a replica needs to apply it
	ID    string // for idempotence: a repeated ID changes nothing; "" for snapshots, which have sequences
	Actor Actor  // who wants it, as proven by the transport
	At    Time
	Body  Body
}

// Actor is who sent a command.
type Actor struct {
	Kind Kind   `json:"kind"`           // agent, witness or operator
	ID   string `json:"id"`             // member UUID, or the operator's
	Name string `json:"name,omitempty"` // for people
}

// Body is one of the commands below.
type Body interface {
	kind() string
	// apply changes the State or refuses. It must not look at anything but
	// its arguments.
	apply(s *State, m Meta, c *Command) error
}

type (
	// Announce tells of a member: at its start, and when its facts change.
	Announce struct {
		Cluster string `json:"cluster"`
		Member  Member `json:"member"`
	}

	// Snapshots are the load snapshots that reached the leader within a tick.
	// One that is refused does not hold up the others; State.Rejected counts.
	Snapshots struct {
		Batch []Snapshot `json:"batch"`
	}

	// Decide records an evaluation and the orders that follow from it.
	Decide struct {
		Decision Decision `json:"decision"`
		Orders   []Order  `json:"orders,omitempty"`
	}

	// Reserve is the target's consent to a move, from its own live figures.
	Reserve struct {
		Move string `json:"move"`
	}

	// Veto is either end's refusal of an ordered move.
	Veto struct {
		Move string `json:"move"`
		Code Code   `json:"code"`
		Text string `json:"text"`
	}

	// Claim asks for the right to carry out a move; it is granted once.
	Claim struct {
		Move        string `json:"move"`
		Incarnation uint64 `json:"incarnation"`
	}

	// Release gives a claimed move back before anything was started.
	Release struct {
		Move string `json:"move"`
		Text string `json:"text"`
		Code Code   `json:"code,omitempty"` // what stood against it, if that has one
	}

	// Start says that the source is about to call libvirt.
	Start struct {
		Move string `json:"move"`
		// Autostart says that the VM is started with the source, which libvirt's
		// migration does not take along.
		Autostart bool  `json:"autostart,omitempty"`
		Limit     Limit `json:"limit,omitzero"` // of its stream
	}

	// Advance reports a running job's progress.
	Advance struct {
		Move     string   `json:"move"`
		Progress Progress `json:"progress"`
	}

	// EndJob is the source's report that its migration job is over, with what
	// it then saw. It decides nothing alone.
	EndJob struct {
		Move     string   `json:"move"`
		Report   string   `json:"report,omitempty"`  // libvirt's error, "" for success
		Aborted  bool     `json:"aborted,omitempty"` // we aborted it
		Evidence Evidence `json:"evidence"`
	}

	// Testify is an end's evidence after the job ended, also later and again.
	Testify struct {
		Move     string        `json:"move"`
		Evidence Evidence      `json:"evidence"`
		Downtime time.Duration `json:"downtime,omitempty"` // from the target's completed job
		Bytes    Bytes         `json:"bytes,omitempty"`
		// Autostart says that the target has set it, as the source had it.
		Autostart bool `json:"autostart,omitempty"`
	}

	// Expire ends what waited too long: an order that was not claimed by its
	// deadline becomes expired, a running move without evidence unknown.
	Expire struct {
		Move string `json:"move"`
	}

	// Cancel takes an unclaimed order back, or asks for the abort of a running one.
	Cancel struct {
		Move string `json:"move"`
		Text string `json:"text"`
	}

	// Resolve is an operator's word about a move whose outcome is unknown.
	// RunningOn is a host's UUID, "" for none.
	Resolve struct {
		Move      string `json:"move"`
		RunningOn string `json:"running_on"`
		Text      string `json:"text"`
	}

	// Verify stores what was measured after a move had settled.
	Verify struct {
		Move     string  `json:"move"`
		Measured *Effect `json:"measured"`
		Verdict  Verdict `json:"verdict"`
		Text     string  `json:"text,omitempty"`
		Code     Code    `json:"code,omitempty"` // DISTURBED: other moves are in the figures
	}

	// SetMode is the operator's choice of what evenkeel may do.
	SetMode struct {
		Mode  Mode   `json:"mode"`
		Text  string `json:"text,omitempty"`
		Scope *Scope `json:"scope,omitempty"` // whom auto is for; nil: all
	}

	// Pause stops automation until a time: all of it, or what it does to one
	// host or VM.
	Pause struct {
		Until Time   `json:"until"`
		Text  string `json:"text,omitempty"`
		Host  string `json:"host,omitempty"` // member id
		VM    string `json:"vm,omitempty"`
	}

	// Resume lifts a pause and a freeze, or the pause of one host or VM.
	Resume struct {
		Text string `json:"text,omitempty"`
		Host string `json:"host,omitempty"` // member id
		VM   string `json:"vm,omitempty"`
	}

	// Freeze is evenkeel's own brake; it never overwrites the operator's mode.
	Freeze struct {
		Cause string `json:"cause"`
		Until Time   `json:"until,omitempty"` // 0: until an operator resumes
	}

	// SetSettings replaces the shared policy.
	SetSettings struct {
		Settings Settings `json:"settings"`
		Text     string   `json:"text,omitempty"`
	}

	// RaiseLevel allows commands of a higher feature level.
	RaiseLevel struct {
		Level uint32 `json:"level"`
	}
)

// Mode is what the operator lets evenkeel do.
type Mode string

// The modes. A new cluster recommends.
const (
	ModeOff       Mode = "off"
	ModeRecommend Mode = "recommend"
	ModeAuto      Mode = "auto"
)
