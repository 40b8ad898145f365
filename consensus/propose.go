package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Propose replicates a command and returns the index of its entry once this
// member has applied it. It stamps At by this member's clock, the level if it
// is 0, and an ID if it is empty (snapshots have sequences instead). An error
// that is a [*cluster.Refusal] comes with the index: the entry is in the log,
// and changed nothing. See the package's errors for the others.
func (n *Node) Propose(ctx context.Context, c cluster.Command) (index uint64, err error) {
	data, err := n.stamp(c)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	select {
	case n.turns <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	var applied raft.ApplyFuture
	err = n.call(ctx, func() error {
		defer func() { <-n.turns }()
		deadline, _ := ctx.Deadline()
		applied = n.raft.Apply(data, max(time.Until(deadline), time.Millisecond))
		return applied.Error()
	})
	if errors.Is(err, ErrClosed) {
		<-n.turns
	}
	if err != nil {
		return 0, n.explain(err)
	}
	if err, ok := applied.Response().(error); ok && err != nil {
		return applied.Index(), err
	}
	return applied.Index(), nil
}

func (n *Node) stamp(c cluster.Command) ([]byte, error) {
	if err := n.fsm.halted(); err != nil {
		return nil, err
	}
	if c.Body == nil {
		return nil, fmt.Errorf("%w: no body", ErrInvalid)
	}
	state, _ := n.State()
	if c.Level == 0 {
		c.Level = state.Level
	}
	if need := max(c.Level, c.Needs()); need > min(state.Level, cluster.CurrentLevel) {
		// In the log it would stop every replica.
		return nil, fmt.Errorf("%w: %s needs feature level %d, the cluster is at %d: %w", ErrInvalid, c.Kind(), need, state.Level, cluster.ErrFeatureLevel)
	}
	if c.ID == "" && !c.Sequenced() {
		c.ID = uuid.NewString()
	}
	c.At = cluster.TimeOf(n.cfg.Clock())
	data, err := cluster.EncodeCommand(c)
	if err == nil {
		// Whatever the encoder lets through, the decoder must take: an entry that
		// does not decode stops every replica.
		_, err = cluster.DecodeCommand(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return data, nil
}

// explain tells what surely was not proposed from what may have been.
func (n *Node) explain(err error) error {
	switch {
	case errors.Is(err, ErrClosed):
		return err
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		if _, _, ok := n.Leader(); ok {
			return ErrNotLeader
		}
		return ErrNoLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}
