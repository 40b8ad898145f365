package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Admit changes the address of a member that has a seat; only the leader can.
// The member must answer at that address as who it claims to be: one that
// cannot be reached would cost the group its tolerance of failures. Others get
// no seat by asking for it; the leader chooses.
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
	if !sameDisk(n.DiskOf(member), info.Disk) {
		return fmt.Errorf("%w: at %s: %w", ErrNotAdmitted, addr, errForgot)
	}
	if err := n.stillAt(ctx, member, addr); err != nil {
		return err
	}
	return n.admit(ctx, member, addr)
}

// stillAt refuses a new address to a member that still answers at the one that
// the configuration names: a disk was cloned. Each of the two would take the
// seat back from the other, and one vote would be in two hands. A process that
// answers at both addresses is one, and says which of them it wants.
func (n *Node) stillAt(ctx context.Context, member, addr string) error {
	s, known := n.seats().of(member)
	if !known || s.Address == addr {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stillTimeout)
	defer cancel()
	info, err := n.cfg.Network.Peer(ctx, s.Address)
	if err != nil || info.Member != member || info.Address == addr {
		return nil // it has left the place
	}
	return fmt.Errorf("%w: member %s answers at %s too: two machines use one id; stop one of them for good, and give it an empty state directory and a certificate of its own", ErrNotAdmitted, member, s.Address)
}

// stillTimeout is short: most of the time nobody answers there any more, and
// who has moved waits.
const stillTimeout = time.Second

func (n *Node) admit(ctx context.Context, member, addr string) error {
	n.group.admitting.Lock()
	defer n.group.admitting.Unlock()
	servers := n.seats()
	s, known := servers.of(member)
	taken, isTaken := servers.at(addr)
	switch {
	case !known:
		return fmt.Errorf("%w: member %.40s has no seat in the Raft group; its leader chooses who has", ErrNotAdmitted, member)
	case s.Address == addr:
		return nil
	case isTaken:
		return fmt.Errorf("%w: %s is the address of member %s", ErrNotAdmitted, addr, taken.Member)
	}
	n.log.Info("a member has moved", "member", member, "from", s.Address, "to", addr)
	return n.reconfigure(ctx, func(wait time.Duration) raft.IndexFuture {
		// Leaves a voter's vote as it is.
		return n.raft.AddNonvoter(raft.ServerID(member), raft.ServerAddress(addr), 0, wait)
	})
}
