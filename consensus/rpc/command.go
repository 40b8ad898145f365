package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Propose sends a command to the leader and returns the index of its entry;
// an error that is a [*cluster.Refusal] comes with the index. It looks for
// the leader and tries again, always under the same ID, until ctx ends: give
// it a deadline. Then the error is consensus.ErrUnknownOutcome if an attempt
// may have got through, and consensus.ErrNoLeader if surely none did. A
// command that the leader will never take fails at once.
//
// An Actor of kind operator, proposed with an agent's certificate, is the
// person for whom the agent forwards; any other Actor is replaced by the
// certificate's.
func (u *Uplink) Propose(ctx context.Context, c cluster.Command) (index uint64, err error) {
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	if c.Sequenced() {
		return 0, fmt.Errorf("%w: %s is no command of agents: they publish", consensus.ErrInvalid, c.Kind())
	}
	req := &proposeRequest{}
	if req.Command, err = cluster.EncodeCommand(c); err != nil {
		return 0, fmt.Errorf("%w: %w", consensus.ErrInvalid, err)
	}
	if c.Actor.Kind == cluster.KindOperator && u.cfg.Client.identity.Kind != cluster.KindOperator {
		req.Operator = &operator{c.Actor.ID, c.Actor.Name}
	}
	var out *proposeResponse
	err = u.ask(ctx, func(ctx context.Context, addr string) (err error) {
		out, err = u.cfg.Client.propose(ctx, addr, req)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.Kind(), err)
	}
	if out.Refusal != nil {
		return out.Index, out.Refusal
	}
	return out.Index, nil
}

// ReadIndex asks the leader which index a State must reach to hold all that
// was acknowledged before the call.
func (u *Uplink) ReadIndex(ctx context.Context) (index uint64, err error) {
	err = u.ask(ctx, func(ctx context.Context, addr string) (err error) {
		index, err = u.cfg.Client.ReadIndex(ctx, addr)
		return err
	})
	return index, err
}

// attemptTime bounds one attempt: a frozen leader takes the call and is silent.
const attemptTime = 5 * time.Second

// ask makes a call to the leader until it is answered, refused for good, or
// ctx ends.
func (u *Uplink) ask(ctx context.Context, try func(ctx context.Context, addr string) error) error {
	doubt, followed := false, false
	var last error
	for pause := minPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		err := u.attempt(ctx, try)
		if err == nil {
			return nil
		}
		last = err
		switch fateOf(err) {
		case fateRefused:
			return fmt.Errorf("%w: %w", consensus.ErrInvalid, err)
		case fateUnknown:
			doubt = true
		}
		// One redirect is followed at once; two members that point at each other
		// are asked at the usual pace.
		if _, redirected := leaderIn(err); redirected && !followed {
			followed = true
			continue
		}
		followed = false
		sleep(ctx, pause/2+rand.N(pause))
	}
	outcome := consensus.ErrNoLeader
	if doubt {
		outcome = consensus.ErrUnknownOutcome
	}
	return fmt.Errorf("%w: %w", outcome, errors.Join(last, ctx.Err()))
}

func (u *Uplink) attempt(ctx context.Context, try func(ctx context.Context, addr string) error) error {
	addr := u.route.target()
	if addr == "" {
		return &dialError{errors.New("no member's address is known")}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	err := try(ctx, addr)
	if err != nil {
		u.route.failed(addr, err)
		return err
	}
	u.route.found(addr)
	return nil
}
