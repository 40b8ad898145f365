package consensus

import (
	"errors"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// expelled says whether an operator has removed a member.
func expelled(state cluster.State, member string) bool { return state.Revoked(member) }

// Revoked says whether a member was removed, by this replica's State or, where
// there is none, by the leader's word.
func (n *Node) Revoked(member string) bool {
	state, _ := n.State()
	if state.Revoked(member) {
		return true
	}
	t := n.group.held()
	return t != nil && slices.Contains(t.Revoked, member)
}

// Revocations lists all removed members that this one knows of.
func (n *Node) Revocations() []string {
	state, _ := n.State()
	var out []string
	for _, r := range state.Removals {
		out = append(out, r.ID)
	}
	for _, r := range state.Revocations {
		out = append(out, r.ID)
	}
	if t := n.group.held(); t != nil {
		out = append(out, t.Revoked...)
	}
	return out
}

// heed notes that a fellow voter calls this member removed: it was away when
// that happened, or the cluster was recovered without it, and no log will ever
// tell it. It cuts itself off, see unfit: with others that were lost it could
// still have a majority.
func (n *Node) heed(answers map[string]answer) {
	servers := n.seats()
	for addr, a := range answers {
		if _, known := servers.at(addr); known && errors.Is(a.err, ErrRevoked) {
			n.group.mu.Lock()
			n.group.expelled = true
			n.group.mu.Unlock()
		}
	}
}

// unfit says why this member has to cut itself off from the others, or nil.
func (n *Node) unfit() error {
	n.group.mu.Lock()
	expelled := n.group.expelled
	n.group.mu.Unlock()
	if expelled {
		return errRemoved
	}
	return n.disk.unfit()
}

// removed says whether this member was removed, as far as it knows.
func (n *Node) removed() bool {
	n.group.mu.Lock()
	expelled := n.group.expelled
	n.group.mu.Unlock()
	return expelled || n.Revoked(n.cfg.Member)
}
