package cluster

import (
	"fmt"
	"iter"
	"time"
)

// State is the replicated truth: a value that shares structure with the
// States before and after it. Copying it is O(1) and every copy stays as it
// is; a command costs by its own size. Start from [New].
type State struct {
	header
	members   tree[string, Member]
	hosts     tree[string, Host]
	places    tree[string, Place]
	moves     tree[uint64, Move]
	live      tree[string, uint64] // VM → seq of its live move
	decisions tree[uint64, Decision]
	recent    tree[string, receipt] // command ID → what became of it
	receipts  tree[uint64, string]  // index → command ID, the order in which recent forgets

	descriptions tree[string, Description] // by host
	offers       tree[string, interned[Offer]]
	needs        tree[string, interned[Need]]
}

// header is the part of a State that is small enough to copy whole.
type header struct {
	Cluster  string   `json:"cluster"`
	Level    uint32   `json:"level"`
	Index    uint64   `json:"index"` // of the last entry applied
	Term     uint64   `json:"term"`  // of that entry
	Chain    Chain    `json:"chain,omitempty"`
	Now      Time     `json:"now"`
	Mode     Mode     `json:"mode"`
	ModeBy   string   `json:"mode_by,omitempty"`
	Scope    Scope    `json:"scope,omitzero"`
	Settings Settings `json:"settings"`
	Paused   Paused   `json:"paused,omitzero"`
	Frozen   Frozen   `json:"frozen,omitzero"`
	// TermSince is when the present term's first entry was applied: the new
	// leader warms up from here.
	TermSince    Time   `json:"term_since"`
	LastMove     uint64 `json:"last_move"`
	LastDecision uint64 `json:"last_decision"`
	LastRule     uint64 `json:"last_rule,omitempty"`
	// ThawedAt is when an operator last resumed: failures before it, and hosts
	// that were silent then, do not freeze again.
	ThawedAt Time `json:"thawed_at,omitempty"`

	Tokens   []Token   `json:"tokens,omitempty"`   // oldest first
	Removals []Removal `json:"removals,omitempty"` // oldest first
	// Revocations are operators' certificates that are refused, oldest first.
	Revocations []Revocation `json:"revocations,omitempty"`
	Lock        Lock         `json:"lock,omitzero"`

	Deliveries []Delivery `json:"deliveries,omitempty"`

	Cordons []Cordon `json:"cordons,omitempty"` // sorted by host
	Returns []Return `json:"returns,omitempty"` // see Returning

	VMRules []VMRule    `json:"vm_rules,omitempty"` // sorted by VM
	Rules   []Rule      `json:"rules,omitempty"`    // oldest first
	Metas   []VMMeta    `json:"metas,omitempty"`    // sorted by VM
	Pauses  []PartPause `json:"pauses,omitempty"`   // see PartPauses
	Quiet   Quiet       `json:"quiet,omitzero"`

	Foreigns  []Foreign  `json:"foreigns,omitempty"`  // oldest first
	Sightings []Sighting `json:"sightings,omitempty"` // oldest first

	Accepted uint64 `json:"accepted"` // snapshots
	Rejected uint64 `json:"rejected"` // snapshots refused

	Later
}

// Paused is an operator's stop with an expiry.
type Paused struct {
	Until Time   `json:"until"`
	Since Time   `json:"since"`
	By    string `json:"by"`
	Text  string `json:"text,omitempty"`
}

// Frozen is evenkeel's own stop.
type Frozen struct {
	Since Time   `json:"since"`
	Until Time   `json:"until,omitempty"` // 0: until an operator resumes
	Cause string `json:"cause"`
}

// holds says whether a freeze is in force.
func (f Frozen) holds(now Time) bool { return f.Since != 0 && (f.Until == 0 || f.Until > now) }

// permits says whether a freeze that only an operator lifts may take its place.
func (f Frozen) permits() bool { return f.Until != 0 || f.Since == 0 }

// Place says which hosts report a VM. More than one without a live move is an
// alarm: the VM is not touched.
type Place struct {
	Hosts  []string `json:"hosts"`           // sorted; those that do not call it incoming
	Moved  Time     `json:"moved,omitempty"` // when its last move of ours ended
	SeenAt Time     `json:"seen_at"`         // when the VM was first seen here
}

type receipt struct {
	Index   uint64   `json:"index"`
	Refusal *Refusal `json:"refusal,omitempty"`
}

// Bounds of the State.
const (
	MaxMembers   = 2000
	MaxMoves     = 2000 // ended ones are forgotten, oldest first
	MaxDecisions = 500
	maxReceipts  = 4096
	maxText      = 1024
	maxCode      = 64 // bytes; members of other versions may know other codes
)

// New is the State before the first command.
func New(cluster string) State {
	return State{header: header{Cluster: cluster, Level: 1, Mode: ModeRecommend, Settings: DefaultSettings()}}
}

// Apply is the one transition function. It returns the State after the
// command, and a [*Refusal] when the command changed nothing but time.
// ErrFeatureLevel is no refusal: the replica must stop, and the State
// returned is the old one.
func (s State) Apply(m Meta, c Command) (State, error) {
	if need := c.required(); need > CurrentLevel || need > s.Level {
		return s, fmt.Errorf("entry %d needs feature level %d, this replica has %d and the cluster is at %d: %w", m.Index, need, CurrentLevel, s.Level, ErrFeatureLevel)
	}
	s.advance(m, c.At)
	if r, ok := s.recent.get(c.ID); ok && c.ID != "" {
		if r.Refusal != nil {
			return s, r.Refusal
		}
		return s, nil
	}
	before := s
	err := c.Body.apply(&s, m, &c)
	if err != nil {
		s = before
	}
	s.remember(m, c.ID, err)
	return s, err
}

func (s *State) advance(m Meta, at Time) {
	s.Now = max(s.Now, at)
	s.Index = m.Index
	s.Chain = s.Chain.next(m)
	if m.Term != s.Term {
		s.Term, s.TermSince = m.Term, s.Now
	}
}

// remember keeps what became of a command under its ID, so that it is done
// once. What was refused because it came a moment late is forgotten: whoever
// sent it plans anew and asks again under the same ID.
func (s *State) remember(m Meta, id string, err error) {
	r := RefusalOf(err)
	if id == "" || r != nil && r.Code.Late() {
		return
	}
	s.recent = s.recent.set(id, receipt{m.Index, r})
	s.receipts = s.receipts.set(m.Index, id)
	if s.receipts.len() > maxReceipts {
		i, old, _ := s.receipts.first()
		s.receipts, s.recent = s.receipts.without(i), s.recent.without(old)
	}
}

// Members yields the members in the order of their ids.
func (s State) Members() iter.Seq2[string, Member] { return s.members.all() }

// MemberCount is how many members there are.
func (s State) MemberCount() int { return s.members.len() }

// Member finds a member by its id.
func (s State) Member(id string) (Member, bool) { return s.members.get(id) }

// MemberNamed finds a member by its name.
func (s State) MemberNamed(name string) (Member, bool) {
	for _, m := range s.members.all() {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// HostName is a host's name for people, its id if it has none.
func (s State) HostName(id string) string {
	if m, ok := s.members.get(id); ok {
		return m.Name
	}
	return id
}

// Hosts yields the hypervisors in the order of their ids.
func (s State) Hosts() iter.Seq2[string, Host] { return s.hosts.all() }

// Host finds a hypervisor by its member id.
func (s State) Host(id string) (Host, bool) { return s.hosts.get(id) }

// Places yields every VM that a host reports or a live move holds.
func (s State) Places() iter.Seq2[string, Place] { return s.places.all() }

// Place says where a VM is.
func (s State) Place(vm string) (Place, bool) { return s.places.get(vm) }

// Moves yields the moves, oldest first.
func (s State) Moves() iter.Seq2[uint64, Move] { return s.moves.all() }

// MovesBackward yields the moves, newest first.
func (s State) MovesBackward() iter.Seq2[uint64, Move] { return s.moves.backward() }

// Live yields the live moves in the order of their VMs' ids.
func (s State) Live() iter.Seq[Move] {
	return func(yield func(Move) bool) {
		for _, seq := range s.live.all() {
			if m, _ := s.moves.get(seq); !yield(m) {
				return
			}
		}
	}
}

// LiveMove finds the live move of a VM.
func (s State) LiveMove(vm string) (Move, bool) {
	seq, ok := s.live.get(vm)
	if !ok {
		return Move{}, false
	}
	return s.moves.get(seq)
}

// Move finds a move by its id.
func (s State) Move(id string) (Move, bool) {
	var seq uint64
	if n, err := fmt.Sscanf(id, "m-%x", &seq); n != 1 || err != nil || id != moveID(seq) {
		return Move{}, false
	}
	return s.moves.get(seq)
}

// DecisionsBackward yields the decisions, newest first.
func (s State) DecisionsBackward() iter.Seq2[uint64, Decision] { return s.decisions.backward() }

// Decision finds a decision by its id.
func (s State) Decision(id string) (Decision, bool) {
	var seq uint64
	if n, err := fmt.Sscanf(id, "d-%x", &seq); n != 1 || err != nil || id != decisionID(seq) {
		return Decision{}, false
	}
	return s.decisions.get(seq)
}

// NextMoveID is the id that the n-th next order must carry, counting from 0.
func (s State) NextMoveID(n int) string { return moveID(s.LastMove + 1 + uint64(n)) }

// NextDecisionID is the id that the next decision must carry.
func (s State) NextDecisionID() string { return decisionID(s.LastDecision + 1) }

func moveID(seq uint64) string     { return fmt.Sprintf("m-%x", seq) }
func decisionID(seq uint64) string { return fmt.Sprintf("d-%x", seq) }

// Size counts what the State holds, for metrics and benches.
func (s State) Size() (members, vms, moves, decisions int) {
	return s.members.len(), s.places.len(), s.moves.len(), s.decisions.len()
}

// Holding says why no automatic move may be ordered now, or nil: the mode, a
// pause, a freeze, a new leader's warm-up.
func (s State) Holding() *Refusal {
	switch {
	case s.Mode == ModeOff:
		return &Refusal{Code: CodeModeOff, Text: "mode is off"}
	case s.Paused.Until > s.Now:
		return &Refusal{Code: CodePaused, Text: fmt.Sprintf("paused by %s until %s", s.Paused.By, s.Paused.Until.Std().Format(time.RFC3339))}
	}
	if r := s.Hush(); r != nil {
		return r
	}
	return s.Braked()
}

// Braked says why nothing may be begun now that a leader begins by itself, not
// even what operators asked for, or nil: a freeze, a new leader's warm-up.
func (s State) Braked() *Refusal {
	switch {
	case s.Frozen.holds(s.Now):
		return &Refusal{Code: CodeFrozen, Text: "frozen: " + s.Frozen.Cause}
	case s.Now.Sub(s.TermSince) < s.Settings.WarmUp:
		return &Refusal{Code: CodeWarmUp, Text: fmt.Sprintf("term %d is young: a new leader watches for %v first", s.Term, s.Settings.WarmUp)}
	}
	return nil
}

// InFlight counts the moves that touch a host, and all of them, as the limits
// do. An unknown outcome waits for a person and holds back nobody else; its ends
// stay taken as long as its job may still run.
func (s State) InFlight(host string) (onHost, inCluster int) {
	for m := range s.Live() {
		if m.State != MoveUnknown {
			inCluster++
		}
		if m.Occupies() && (m.Source == host || m.Target == host) {
			onHost++
		}
	}
	return onHost, inCluster
}

// OrderedSince counts the automatic moves that were ordered after an instant
// and claimed, or still may be: those are what budgets count.
func (s State) OrderedSince(t Time) int {
	n := 0
	for _, m := range s.moves.backward() {
		if m.OrderedAt < t {
			break
		}
		if m.Trigger == TriggerAuto && (m.ClaimedAt != 0 || m.State == MoveOrdered) {
			n++
		}
	}
	return n
}
