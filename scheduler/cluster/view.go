package cluster

import (
	"reflect"
	"slices"
	"time"
)

// View is what the leader pushes to a host's agent: the part of the State
// that concerns it.
type View struct {
	Cluster  string   `json:"cluster"`
	Index    uint64   `json:"index"`
	Term     uint64   `json:"term"`
	Now      Time     `json:"now"`
	Level    uint32   `json:"level"`
	Mode     Mode     `json:"mode"`
	Settings Settings `json:"settings"`
	Held     *Refusal `json:"held,omitempty"` // why no automatic move may start now

	Announced uint64   `json:"announced"`           // incarnation of the host's committed announcement, 0 if none
	Hold      string   `json:"hold,omitempty"`      // the hold in that announcement
	Sequence  uint64   `json:"sequence"`            // newest committed snapshot of the host
	Inventory uint64   `json:"inventory"`           // revision of its committed inventory
	Refused   *Refusal `json:"refused,omitempty"`   // why its last refused snapshot was refused
	Described uint64   `json:"described,omitempty"` // revision of its committed description, 0 if it is an earlier start's

	// Candidates are VMs of the host that the planner has just weighed for a
	// move, at most MaxViewCandidates: worth a closer look at what moving them costs.
	Candidates []string `json:"candidates,omitempty"`

	// Unstart are the VMs whose definitions here are to be started with the host
	// no more: a move took that along, see [State.Unstart].
	Unstart []string `json:"unstart,omitempty"`

	// CopyEnds are the ends of moves that copied disks from or to here.
	CopyEnds []CopyEnd `json:"copy_ends,omitempty"`

	Moves []Move   `json:"moves"` // live ones that the host is an end of
	Peers []Member `json:"peers"` // the other ends of those moves
	// Checks are what the ends of those moves have said of the VM and of
	// themselves, as far as they have; in the order of the moves.
	Checks []Check `json:"checks,omitempty"`
}

// Check is what a move's VM needs and what its two ends offer.
type Check struct {
	Move     string `json:"move"`
	Need     *Need  `json:"need,omitempty"`
	AtSource *Offer `json:"at_source,omitempty"`
	AtTarget *Offer `json:"at_target,omitempty"`
	// Resident is the VM's memory that is in use at the source, swapped out or
	// not; 0: not known.
	Resident Bytes `json:"resident,omitempty"`
}

// checksOf gathers the checks of moves that are still to begin.
func (s State) checksOf(member string, moves []Move) (out []Check) {
	for _, m := range moves {
		if m.State != MoveOrdered && m.State != MoveClaimed {
			continue
		}
		c := Check{Move: m.ID}
		if d, ok := s.descriptions.get(m.Source); ok {
			c.AtSource, c.Need = d.offer, d.Need(m.VM)
		}
		if d, ok := s.descriptions.get(m.Target); ok {
			c.AtTarget = d.offer
		}
		c.Resident = s.resident(m)
		out = append(out, c)
	}
	return out
}

// resident is what a move's VM has in use, as its source said last.
func (s State) resident(m Move) Bytes {
	h, _ := s.hosts.get(m.Source)
	i := slices.IndexFunc(h.Inventory.VMs, func(v VM) bool { return v.UUID == m.VM })
	if i < 0 {
		return 0
	}
	d, _, ok := h.Detail(h.Inventory.VMs[i].Slot)
	if !ok || d.Memory == nil {
		return 0
	}
	return d.Memory.Resident + d.Memory.Swapped
}

// Check finds what is known of a move's VM and ends.
func (v View) Check(move string) Check {
	for _, c := range v.Checks {
		if c.Move == move {
			return c
		}
	}
	return Check{}
}

// MaxViewCandidates bounds what a host is asked to look at more closely.
const MaxViewCandidates = 4

// candidates lists the VMs of a host in the newest decision, proposed ones
// first, unless it is a minute old.
func (s State) candidates(member string) (vms []string) {
	d, ok := s.decisions.get(s.LastDecision)
	if !ok || s.Now.Sub(d.LastAt) > time.Minute {
		return nil
	}
	for _, list := range [][]Candidate{d.Proposed, d.Refused} {
		for _, c := range list {
			if c.Source == member && !slices.Contains(vms, c.VM) && len(vms) < MaxViewCandidates {
				vms = append(vms, c.VM)
			}
		}
	}
	return vms
}

// ViewFor makes the view of a member.
func (s State) ViewFor(member string) View {
	v := View{
		Cluster: s.Cluster, Index: s.Index, Term: s.Term, Now: s.Now, Level: s.Level,
		Mode: s.Mode, Settings: s.Settings, Held: s.Holding(), Candidates: s.candidates(member),
	}
	if m, ok := s.members.get(member); ok {
		v.Announced, v.Hold = m.Incarnation, m.Hold
	}
	if h, ok := s.hosts.get(member); ok {
		v.Sequence, v.Inventory, v.Refused = h.Seq, h.Inventory.Revision, h.Refused
	}
	if d, ok := s.descriptions.get(member); ok && d.Incarnation == v.Announced {
		v.Described = d.Revision
	}
	v.Unstart, v.CopyEnds = s.Unstart(member), s.copyEnds(member)
	v.Moves, v.Peers = s.movesOf(member)
	v.Checks = s.checksOf(member, v.Moves)
	return v
}

// Concerns says whether what the member must hear of at once differs from an
// earlier State: all of its view but index, time and acknowledgements, which
// may go with the beat. A leader asks it of every agent at every entry, so it
// compares before it computes, and most often finds only the host's record
// changed.
func (s State) Concerns(old State, member string) bool {
	if s.Cluster != old.Cluster || s.Term != old.Term || s.Level != old.Level || s.Mode != old.Mode || s.Settings != old.Settings {
		return true
	}
	return s.holdDiffers(old) || s.candidatesDiffer(old, member) || s.recordDiffers(old, member) || s.unstartDiffers(old, member) || s.movesDiffer(old, member)
}

// holdDiffers compares what [State.Holding] is made of.
func (s State) holdDiffers(old State) bool {
	if s.Quiet.Until == old.Quiet.Until && s.Quiet.By == old.Quiet.By && s.Quiet.Text == old.Quiet.Text && s.Paused == old.Paused && s.Frozen == old.Frozen && s.TermSince == old.TermSince && s.holds() == old.holds() {
		return false
	}
	a, b := s.Holding(), old.Holding()
	return (a == nil) != (b == nil) || a != nil && *a != *b
}

// holds says which of the causes that pass with time are in force.
func (s State) holds() [4]bool {
	return [4]bool{s.Hush() != nil, s.Paused.Until > s.Now, s.Frozen.holds(s.Now), s.Now.Sub(s.TermSince) < s.Settings.WarmUp}
}

func (s State) candidatesDiffer(old State, member string) bool {
	if s.decisions == old.decisions && s.candidatesStand() == old.candidatesStand() {
		return false
	}
	return !slices.Equal(s.candidates(member), old.candidates(member))
}

// candidatesStand says whether the newest decision is young enough to matter.
func (s State) candidatesStand() bool {
	d, ok := s.decisions.get(s.LastDecision)
	return ok && s.Now.Sub(d.LastAt) <= time.Minute
}

// recordDiffers compares what the State knows of the member itself.
func (s State) recordDiffers(old State, member string) bool {
	if s.members != old.members {
		a, _ := s.members.get(member)
		b, _ := old.members.get(member)
		if a.Incarnation != b.Incarnation {
			return true
		}
	}
	if s.hosts == old.hosts {
		return false
	}
	a, _ := s.hosts.get(member)
	b, _ := old.hosts.get(member)
	if a.Inventory.Revision != b.Inventory.Revision || (a.Refused == nil) != (b.Refused == nil) {
		return true
	}
	return a.Refused != nil && *a.Refused != *b.Refused
}

// movesDiffer compares the live moves of the member and their other ends.
func (s State) movesDiffer(old State, member string) bool {
	if s.moves == old.moves && s.live == old.live && s.members == old.members {
		return false
	}
	if s.live.len() == 0 && old.live.len() == 0 {
		return false
	}
	moves, peers := s.movesOf(member)
	oldMoves, oldPeers := old.movesOf(member)
	return !reflect.DeepEqual(moves, oldMoves) || !reflect.DeepEqual(peers, oldPeers)
}

// movesOf lists the live moves that a member is an end of, and the other ends.
func (s State) movesOf(member string) (moves []Move, peers []Member) {
	for m := range s.Live() {
		other := m.Target
		if m.Target == member {
			other = m.Source
		} else if m.Source != member {
			continue
		}
		moves = append(moves, m)
		if p, ok := s.members.get(other); ok {
			peers = append(peers, p)
		}
	}
	return moves, peers
}

// Peer finds the other end of a move.
func (v View) Peer(id string) (Member, bool) {
	for _, p := range v.Peers {
		if p.ID == id {
			return p, true
		}
	}
	return Member{}, false
}
