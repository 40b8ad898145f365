package consensus

import (
	"slices"

	"github.com/hashicorp/raft"
)

// seat is a member's place in the Raft configuration.
type seat struct {
	Voter
	votes bool
}

type seats []seat

// seats is the newest configuration in this member's log.
func (n *Node) seats() (out seats) {
	f := n.raft.GetConfiguration() // answers from memory; it knows no index
	for _, s := range f.Configuration().Servers {
		out = append(out, seat{Voter{string(s.ID), string(s.Address)}, s.Suffrage == raft.Voter})
	}
	return out
}

// voters are those that vote, in the configuration's order.
func (s seats) voters() (out []Voter) {
	for _, m := range s {
		if m.votes {
			out = append(out, m.Voter)
		}
	}
	return out
}

func (s seats) nonvoters() (out []Voter) {
	for _, m := range s {
		if !m.votes {
			out = append(out, m.Voter)
		}
	}
	return out
}

func (s seats) of(member string) (seat, bool) {
	i := slices.IndexFunc(s, func(m seat) bool { return m.Member == member })
	if i < 0 {
		return seat{}, false
	}
	return s[i], true
}

func (s seats) at(addr string) (seat, bool) {
	i := slices.IndexFunc(s, func(m seat) bool { return m.Address == addr })
	if i < 0 {
		return seat{}, false
	}
	return s[i], true
}

// voters is who votes by the newest configuration in this member's log.
func (n *Node) voters() []Voter { return n.seats().voters() }

// named says whether this member has a seat: by its own configuration, unless
// a leader whose log is ahead told it otherwise. A member that was away while it
// lost its seat never gets that entry.
func (n *Node) named() bool {
	if _, ok := n.seats().of(n.cfg.Member); !ok {
		return false
	}
	if n.removed() {
		return false
	}
	t := n.group.held()
	if t == nil || t.Seated || t.Invited {
		return true
	}
	term := n.lastTerm()
	return term > t.Term || term == t.Term && n.raft.LastIndex() >= t.Index
}
