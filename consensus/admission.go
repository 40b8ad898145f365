package consensus

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// Admit makes a member a voter at an address, or changes its address; only
// the leader can. A new one must be listed in the leader's peers, and must
// answer at that address as who it claims to be: a voter that cannot be
// reached would cost the group its tolerance of failures.
func (n *Node) Admit(ctx context.Context, member, addr string) error {
	if _, ok := n.Leading(); !ok {
		return ErrNotLeader
	}
	info, err := n.cfg.Network.Peer(ctx, addr)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s does not answer: %w", ErrNotAdmitted, addr, err)
	case info.Member != member || info.Cluster != n.cfg.Cluster:
		return fmt.Errorf("%w: at %s answers member %.40s of cluster %.40s", ErrNotAdmitted, addr, info.Member, info.Cluster)
	}
	return n.admit(ctx, member, addr)
}

func (n *Node) admit(ctx context.Context, member, addr string) error {
	n.group.admitting.Lock()
	defer n.group.admitting.Unlock()
	voters := n.voters()
	known := slices.ContainsFunc(voters, func(v Voter) bool { return v.Member == member })
	taken := slices.IndexFunc(voters, func(v Voter) bool { return v.Address == addr })
	switch {
	case slices.Contains(voters, Voter{member, addr}):
		return nil
	case taken >= 0:
		return fmt.Errorf("%w: %s is the address of member %s", ErrNotAdmitted, addr, voters[taken].Member)
	case !known && !slices.Contains(n.cfg.Peers, addr):
		return fmt.Errorf("%w: %s is not in cluster.peers of leader %s; add it there", ErrNotAdmitted, addr, n.cfg.Address)
	case !known && len(voters) >= MaxVoters:
		return fmt.Errorf("%w: there are %d voters already, at most %d", ErrNotAdmitted, len(voters), MaxVoters)
	}
	n.log.Info("admit a voter", "member", member, "address", addr, "known", known)
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	err := n.call(ctx, func() error {
		return n.raft.AddVoter(raft.ServerID(member), raft.ServerAddress(addr), 0, n.cfg.Timing.Propose).Error()
	})
	if err != nil {
		return n.explain(err)
	}
	return nil
}
