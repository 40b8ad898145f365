package cluster

import (
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

	Announced uint64   `json:"announced"`         // incarnation of the host's committed announcement, 0 if none
	Sequence  uint64   `json:"sequence"`          // newest committed snapshot of the host
	Inventory uint64   `json:"inventory"`         // revision of its committed inventory
	Refused   *Refusal `json:"refused,omitempty"` // why its last refused snapshot was refused

	// Candidates are VMs of the host that the planner has just weighed for a
	// move, at most MaxViewCandidates: worth a closer look at what moving them costs.
	Candidates []string `json:"candidates,omitempty"`

	Moves []Move   `json:"moves"` // live ones that the host is an end of
	Peers []Member `json:"peers"` // the other ends of those moves
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
		v.Announced = m.Incarnation
	}
	if h, ok := s.hosts.get(member); ok {
		v.Sequence, v.Inventory, v.Refused = h.Seq, h.Inventory.Revision, h.Refused
	}
	for m := range s.Live() {
		other := m.Target
		if m.Target == member {
			other = m.Source
		} else if m.Source != member {
			continue
		}
		v.Moves = append(v.Moves, m)
		if p, ok := s.members.get(other); ok {
			v.Peers = append(v.Peers, p)
		}
	}
	return v
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
