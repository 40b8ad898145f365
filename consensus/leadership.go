package consensus

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Leadership tells a single listener when this member begins and ceases to
// lead. True comes only after the State has caught up with all that earlier
// leaders committed. If the listener is slow it sees the newest word only, so
// true may follow true: a new term.
func (n *Node) Leadership() <-chan bool { return n.leadership }

// Leading says in which term this member leads; ok is false if it does not,
// or its State has not caught up yet. It may lie for a moment after another
// member was elected: only what was committed counts.
func (n *Node) Leading() (term uint64, ok bool) {
	term = n.leading.Load()
	return term, term != 0
}

// Leader says who leads as far as this member knows. One without a seat knows
// by the leader's stream.
func (n *Node) Leader() (member, addr string, ok bool) {
	a, id := n.raft.LeaderWithID()
	if id == "" && !n.named() {
		if t := n.group.held(); t != nil {
			return t.Leader, t.LeaderAddress, true
		}
	}
	return string(id), string(a), id != ""
}

// TransferLeadership asks another voter to lead.
func (n *Node) TransferLeadership(ctx context.Context) error {
	return n.transfer(ctx, func() raft.Future { return n.raft.LeadershipTransfer() })
}

// TransferTo hands leadership over to a member. One that holds a replica
// without a vote gets a vote first; the group then takes its size again.
func (n *Node) TransferTo(ctx context.Context, member string) error {
	if member == "" {
		return n.TransferLeadership(ctx)
	}
	s, ok := n.seats().of(member)
	if !ok {
		return fmt.Errorf("%w: member %s has no seat in the Raft group", ErrInvalid, member)
	}
	if !s.votes {
		if err := (pilotRaft{n}).AddVoter(raft.ServerID(s.Member), raft.ServerAddress(s.Address), 0, 0).Error(); err != nil {
			return err
		}
	}
	return n.transferTo(ctx, s.Member, s.Address)
}

// transferTo asks one voter to lead.
func (n *Node) transferTo(ctx context.Context, member, addr string) error {
	return n.transfer(ctx, func() raft.Future {
		return n.raft.LeadershipTransferToServer(raft.ServerID(member), raft.ServerAddress(addr))
	})
}

func (n *Node) transfer(ctx context.Context, begin func() raft.Future) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timing.Propose)
	defer cancel()
	err := n.call(ctx, func() error { return begin().Error() })
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return ErrNotLeader
	case err != nil && !errors.Is(err, ErrClosed):
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return err
}

// followLeadership turns the library's word into ours, and stops Raft when
// the replica halts.
func (n *Node) followLeadership() {
	stopped := n.fsm.stopped
	for {
		select {
		case leads := <-n.raft.LeaderCh():
			if leads {
				n.takeOver()
			} else {
				n.stepDown()
			}
		case <-n.gateMoved:
			n.passGate()
		case <-stopped:
			stopped = nil
			n.log.Error("this replica stops: it takes no part in the cluster until its binary can apply the entry", "err", n.fsm.halted())
			n.stop()
			n.stepDown()
		case <-n.ctx.Done():
			n.stepDown()
			return
		}
	}
}

// takeOver waits until an entry of this term is applied here: only then does
// the State hold all that was acknowledged before.
func (n *Node) takeOver() {
	term := n.raft.CurrentTerm()
	if err := n.call(n.ctx, func() error { return n.raft.Barrier(0).Error() }); err != nil {
		n.log.Debug("leadership was lost before it began", "term", term, "err", err)
		return
	}
	if n.gate.why() != nil {
		return // told again when it opens
	}
	n.log.Info("this member leads", "term", term)
	n.announce(term)
}

func (n *Node) stepDown() {
	if term := n.leading.Load(); term != 0 {
		n.log.Info("this member leads no longer", "term", term)
		n.announce(0)
	}
}

// announce replaces what the listener has not taken yet.
func (n *Node) announce(term uint64) {
	n.leading.Store(term)
	select {
	case <-n.leadership:
	default:
	}
	n.leadership <- term != 0
	n.changed.ring()
}

// countChange is an observer's filter: it counts, and takes nothing.
func (n *Node) countChange(o *raft.Observation) bool {
	if l, ok := o.Data.(raft.LeaderObservation); ok && l.LeaderID != "" {
		n.changes.Add(1)
	}
	return false
}
