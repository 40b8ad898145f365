package consensus

import (
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
	if t := n.group.held(); t != nil {
		out = append(out, t.Revoked...)
	}
	return out
}
