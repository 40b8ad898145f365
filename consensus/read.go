package consensus

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"
)

// ReadIndex makes the next State() of this leader linearizable: it holds all
// that was acknowledged anywhere before the call. It returns the index which a
// follower's State must reach to be as good. Unlike an entry it costs no disk
// write: a majority confirms that this member still leads.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	if err := n.awaitLeading(ctx); err != nil {
		return 0, err
	}
	began := n.proof.now()
	commit := n.raft.CommitIndex()
	if err := n.confirm(ctx, began); err != nil {
		return 0, err
	}
	index := n.lastCommand(commit)
	return index, n.AwaitIndex(ctx, index)
}

// confirm waits until a majority has acknowledged this leader since a moment.
// VerifyLeader has them asked at once, and tells when the leadership is lost.
func (n *Node) confirm(ctx context.Context, since uint64) error {
	for {
		if err := n.call(ctx, func() error { return n.raft.VerifyLeader().Error() }); err != nil {
			return fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
		term, ok := n.Leading()
		if !ok {
			return ErrNotLeader
		}
		if n.proof.majority(n.cfg.Member, n.voters(), term, since) {
			return nil
		}
	}
}

// AwaitIndex waits until this replica has applied the command at an index.
func (n *Node) AwaitIndex(ctx context.Context, index uint64) error {
	for {
		changed := n.Changed()
		if _, at := n.State(); at >= index {
			return nil
		}
		if err := n.fsm.halted(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for index %d: %w", index, ctx.Err())
		}
	}
}

// awaitLeading gives a member that was just elected time to catch up.
func (n *Node) awaitLeading(ctx context.Context) error {
	for {
		changed := n.Changed()
		if _, ok := n.Leading(); ok {
			return nil
		}
		if n.raft.State() != raft.Leader {
			if _, _, ok := n.Leader(); ok {
				return ErrNotLeader
			}
			return ErrNoLeader
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("catch up as leader: %w", ctx.Err())
		}
	}
}

// lastCommand is the index of the last command at or below a committed index.
// The entries above it are Raft's own (a new leader's, of the configuration)
// and never reach the State, so waiting for those would not end.
func (n *Node) lastCommand(commit uint64) uint64 {
	_, applied := n.State()
	for i := commit; i > applied; i-- {
		var l raft.Log
		if err := n.logs.GetLog(i, &l); err != nil {
			break // compacted: within a snapshot of what was applied
		}
		if l.Type == raft.LogCommand {
			return i
		}
	}
	return applied
}
