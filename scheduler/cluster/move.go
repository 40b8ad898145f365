package cluster

import "time"

// MoveState is a place in a move's life. The edges are
//
//	ordered → claimed | vetoed | expired | cancelled
//	claimed → released | running
//	running → done | failed | aborted | unknown
//	unknown → done | failed          (by evidence, or by an operator's word)
//	done    → better | same | worse | suspect
//
// A granted claim never expires: it holds the VM, the limits and the pending
// load until the source reports or an operator resolves it.
type MoveState string

// The states.
const (
	MoveOrdered   MoveState = "ordered"
	MoveClaimed   MoveState = "claimed"
	MoveRunning   MoveState = "running"
	MoveUnknown   MoveState = "unknown"
	MoveDone      MoveState = "done"
	MoveVetoed    MoveState = "vetoed"
	MoveExpired   MoveState = "expired"
	MoveCancelled MoveState = "cancelled"
	MoveReleased  MoveState = "released"
	MoveFailed    MoveState = "failed"
	MoveAborted   MoveState = "aborted"
)

// Live says whether a move in this state still holds its VM. INVARIANT: a VM
// has at most one live move.
func (s MoveState) Live() bool {
	return s == MoveOrdered || s == MoveClaimed || s == MoveRunning || s == MoveUnknown
}

// Occupies says whether a migration of this move may run at its ends, now or
// soon: until its source has said that its job is over.
func (m Move) Occupies() bool { return m.State.Live() && (m.State != MoveUnknown || m.JobEndedAt == 0) }

// Verifiable says whether a move that is done may still be verified: figures of
// much later say nothing about it.
func (m Move) Verifiable(set Settings, now Time) bool {
	return now.Sub(m.EndedAt) <= 10*set.Settle+time.Hour
}

// Verdict is what the measurement after a move said.
type Verdict string

// The verdicts.
const (
	VerdictBetter  Verdict = "better"
	VerdictSame    Verdict = "same"
	VerdictWorse   Verdict = "worse"
	VerdictSuspect Verdict = "suspect" // the VM shows no sign of life, or nothing could be measured
)

// Trigger says who wanted a move.
type Trigger string

// The triggers.
const (
	TriggerAuto     Trigger = "auto"
	TriggerOperator Trigger = "operator"
)

// Order is what the leader wants done. It says what it was decided on and how
// long it may be acted upon; [State.Apply] re-checks it against the present.
type Order struct {
	ID          string        `json:"id"` // m-…, see State.NextMoveID
	VM          string        `json:"vm"`
	Source      string        `json:"source"`
	Target      string        `json:"target"`
	Trigger     Trigger       `json:"trigger"`
	Code        Code          `json:"code,omitempty"` // what it is for, if not contention
	Reason      string        `json:"reason"`
	Term        uint64        `json:"term"`         // leader's term; refused unless its entry's
	DecidedOn   uint64        `json:"decided_on"`   // applied index of the State that was planned on
	Deadline    Time          `json:"deadline"`     // claimable until
	StartWindow time.Duration `json:"start_window"` // the source starts within this after it first saw the order, on its CLOCK_BOOTTIME
	Budget      time.Duration `json:"budget"`       // a migration that runs longer is aborted
	Predicted   Effect        `json:"predicted"`
	// Try does all that a move takes but the migration itself.
	Try bool `json:"try,omitempty"`
}

// Effect is what a move does, predicted or measured: the same figures.
type Effect struct {
	VMContentionBefore     Ratio         `json:"vm_contention_before"`
	VMContentionAfter      Ratio         `json:"vm_contention_after"`
	SourceContentionBefore Ratio         `json:"source_contention_before"`
	SourceContentionAfter  Ratio         `json:"source_contention_after"`
	TargetContentionBefore Ratio         `json:"target_contention_before"`
	TargetContentionAfter  Ratio         `json:"target_contention_after"`
	Duration               time.Duration `json:"duration,omitempty"`
	Downtime               time.Duration `json:"downtime,omitempty"`
	Bytes                  Bytes         `json:"bytes,omitempty"`

	// VMRunFloor is the least that the VM ran in any minute of the hour before,
	// 0 if that is not known; VMRunAfter is what it ran after the move.
	VMRunFloor MilliCPU `json:"vm_run_floor,omitempty"`
	VMRunAfter MilliCPU `json:"vm_run_after,omitempty"`
	// The same of its disks' requests per second, and of what it received: the
	// least in any window of the last half hour to hour, and after the move.
	VMRequestsFloor int64          `json:"vm_requests_floor,omitempty"`
	VMRequestsAfter int64          `json:"vm_requests_after,omitempty"`
	VMRequestsLayer BlockLayer     `json:"vm_requests_layer,omitempty"` // where both were counted
	VMReceivedFloor BytesPerSecond `json:"vm_received_floor,omitempty"`
	VMReceivedAfter BytesPerSecond `json:"vm_received_after,omitempty"`

	// The 99th percentile of run-queue latency: the VM's, and the longest of any
	// VM of the source and of the target; 0 not known.
	VMP99Before     time.Duration `json:"vm_p99_before,omitempty"`
	VMP99After      time.Duration `json:"vm_p99_after,omitempty"`
	SourceP99Before time.Duration `json:"source_p99_before,omitempty"`
	SourceP99After  time.Duration `json:"source_p99_after,omitempty"`
	TargetP99Before time.Duration `json:"target_p99_before,omitempty"`
	TargetP99After  time.Duration `json:"target_p99_after,omitempty"`

	// The memory that the VMs of both ends hold; 0 if it is not known of all of
	// them, or if there are none.
	SourceMemoryBefore Bytes `json:"source_memory_before,omitempty"`
	SourceMemoryAfter  Bytes `json:"source_memory_after,omitempty"`
	TargetMemoryBefore Bytes `json:"target_memory_before,omitempty"`
	TargetMemoryAfter  Bytes `json:"target_memory_after,omitempty"`

	// Bystander is the VM of the target that was predicted to bear most of the
	// move, "" if there was none.
	Bystander                 string `json:"bystander,omitempty"`
	BystanderContentionBefore Ratio  `json:"bystander_contention_before,omitempty"`
	BystanderContentionAfter  Ratio  `json:"bystander_contention_after,omitempty"`
}

// Move is an order and what became of it.
type Move struct {
	Order
	Seq       uint64    `json:"seq"` // rises by one per move
	State     MoveState `json:"state"`
	VMName    string    `json:"vm_name"`
	MaxMemory Bytes     `json:"max_memory"` // charged to the target while live
	Decision  string    `json:"decision"`
	Index     uint64    `json:"index"` // of the entry that ordered it
	// ArrivesPaused says that the target resumes the VM when it is proven that
	// the source is without it, see [Move.Arrived].
	ArrivesPaused bool `json:"arrives_paused,omitempty"`
	// Copies are the disks that are copied along; CopyStorage is the policy by
	// which, "" if there are none.
	Copies      []DiskCopy  `json:"copies,omitempty"`
	CopyStorage CopyStorage `json:"copy_storage,omitempty"`
	// Networks are those that both ends must have, see [Need.Networks]; Canary
	// says that the move is the first between its ends over one of them.
	Networks []string `json:"networks,omitempty"`
	Canary   bool     `json:"canary,omitempty"`

	OrderedAt  Time `json:"ordered_at"`
	ReservedAt Time `json:"reserved_at,omitempty"` // the target agreed
	ClaimedAt  Time `json:"claimed_at,omitempty"`
	StartedAt  Time `json:"started_at,omitempty"`
	JobEndedAt Time `json:"job_ended_at,omitempty"` // the source says that its migration job is over
	EndedAt    Time `json:"ended_at,omitempty"`     // the outcome is known, or known to be unknown
	VerifiedAt Time `json:"verified_at,omitempty"`

	Incarnation uint64        `json:"incarnation,omitempty"` // of the source's daemon that claimed it
	Limit       Limit         `json:"limit,omitzero"`        // of its migration's stream
	Progress    Progress      `json:"progress,omitzero"`
	AbortAsked  bool          `json:"abort_asked,omitempty"`
	Report      string        `json:"report,omitempty"` // what libvirt said at the source, "" if it said success
	AtSource    *Evidence     `json:"at_source,omitempty"`
	StoodPaused bool          `json:"stood_paused,omitempty"` // at the source, after its job had ended
	AtTarget    *Evidence     `json:"at_target,omitempty"`
	Autostart   Autostart     `json:"autostart,omitempty"`
	Downtime    time.Duration `json:"downtime,omitempty"` // measured; 0 not known
	Bytes       Bytes         `json:"bytes,omitempty"`
	Measured    *Effect       `json:"measured,omitempty"` // nil until the settle time
	Verdict     Verdict       `json:"verdict,omitempty"`
	Why         string        `json:"why,omitempty"` // veto, release, expiry, unknown: in words
	WhyCode     Code          `json:"why_code,omitempty"`
	ResolvedBy  string        `json:"resolved_by,omitempty"`
}

// Progress of a migration job.
type Progress struct {
	Total     Bytes          `json:"total"`
	Processed Bytes          `json:"processed"`
	Remaining Bytes          `json:"remaining"`
	DirtyRate BytesPerSecond `json:"dirty_rate"`
	Bandwidth BytesPerSecond `json:"bandwidth"`
	Iteration int64          `json:"iteration"`
	Throttle  int64          `json:"throttle,omitempty"` // percent by which auto-converge slows the vCPUs
}

// Presence is what one host sees of a VM.
type Presence string

// The presences.
const (
	PresenceRunning Presence = "running"
	PresencePaused  Presence = "paused"
	PresenceAbsent  Presence = "absent"
	PresenceOther   Presence = "other" // shutting down, crashed, a job still runs
)

// Evidence is an end's word about a move's VM, observed after the job ended.
// A periodic snapshot is no evidence.
type Evidence struct {
	Presence Presence `json:"presence"`
	Process  bool     `json:"process"` // a QEMU process with that UUID exists
	At       Time     `json:"at"`
}

// gone: neither a domain nor a process.
func (e *Evidence) gone() bool { return e.Presence == PresenceAbsent && !e.Process }

func (e *Evidence) runs() bool { return e.Presence == PresenceRunning && e.Process }

// Judge says what two ends' evidence proves about a move: done, failed, or
// unknown when one side is silent or they contradict each other.
func Judge(source, target *Evidence) (MoveState, string) {
	switch {
	case source == nil && target == nil:
		return MoveUnknown, "neither end has said what it sees"
	case source == nil:
		return MoveUnknown, "the source has not said what it sees"
	case target == nil:
		return MoveUnknown, "the target has not said what it sees"
	case source.runs() && target.gone():
		return MoveFailed, "running at the source, absent at the target"
	case source.gone() && target.runs():
		return MoveDone, "absent at the source, running at the target"
	case source.runs() && target.runs():
		return MoveUnknown, "RUNNING ON BOTH HOSTS"
	}
	return MoveUnknown, "at the source " + source.words() + ", at the target " + target.words()
}

func (e *Evidence) words() string {
	if e.Presence == PresenceAbsent && e.Process {
		return "absent in libvirt, but a QEMU process exists"
	}
	return string(e.Presence)
}
