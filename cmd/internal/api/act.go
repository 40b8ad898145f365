package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const retryPause = 200 * time.Millisecond

// headerRefusal carries the code of a refusal.
const headerRefusal = "Ek-Refusal"

// acting is a request that changes something.
type acting interface{ act() *Act }

func (a *Act) act() *Act { return a }

// order is what a request comes down to.
type order struct {
	body cluster.Body
	text string // what it does, in words
	move string // id of the move that it is about, if any
	join *Join  // what a host needs to join, if it is about that
	// run does what is no command of the log; with neither body nor run there is
	// nothing to do.
	run func(ctx context.Context) error
}

// act adds a method that changes the State. It is carried out at the leader;
// while there is none, or the leader changes, it is tried again under the
// same ID, which the State takes once.
func act[Req any, P interface {
	*Req
	acting
}](s *Server, r *router, method string, prepare func(context.Context, view, P) (order, error)) {
	handle(r, method, func(ctx context.Context, who caller, req *Req) (*Change, error) {
		a := P(req).act()
		if err := mayAct(who, a); err != nil {
			s.audit(ctx, who, method, &Act{}, nil, err)
			return nil, err
		}
		if a.ID == "" {
			a.ID = uuid.NewString()
		}
		try := func(ctx context.Context) (*Change, error) {
			_, err := s.cfg.Replica.ReadIndex(ctx)
			switch {
			case err == nil:
				o, err := prepare(ctx, s.look(who, nil), P(req))
				if err != nil {
					return nil, err
				}
				return s.commit(ctx, who, a, o)
			case who.forwarded:
				return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("%w: %w", errNoHop, err))
			}
			return forward[Req, Change](ctx, s, who, method, req, err)
		}
		change, err := s.persist(ctx, who, try)
		s.audit(ctx, who, method, a, change, err)
		return change, err
	})
}

func mayAct(who caller, a *Act) error {
	switch {
	case !who.operates():
		return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("the certificate of %s is of kind %s and gives no orders; use an operator's, or the unix socket", who.actor.Name, who.actor.Kind))
	case len(a.ID) > 64 || a.ID != "" && !isText(a.ID):
		return connect.NewError(connect.CodeInvalidArgument, errors.New("id: must be printable and at most 64 bytes"))
	case len(a.Reason) > 500:
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("reason: %d bytes, at most 500", len(a.Reason)))
	}
	return nil
}

// persist tries until there is an answer. A forwarded request is tried once:
// who forwards it tries again. An attempt that was begun is given its time.
func (s *Server) persist(ctx context.Context, who caller, try func(context.Context) (*Change, error)) (*Change, error) {
	last := time.Now().Add(s.cfg.Limits.Act)
	if end, ok := ctx.Deadline(); ok { // early enough for the explanation to arrive
		if early := end.Add(-time.Until(end) / 8); early.Before(last) {
			last = early
		}
	}
	doubt := false
	for {
		once, cancel := context.WithTimeout(ctx, s.cfg.Limits.Try)
		change, err := try(once)
		cancel()
		if err == nil || who.forwarded {
			return change, err
		}
		switch connect.CodeOf(err) {
		case connect.CodeAborted:
			doubt = true
		case connect.CodeUnavailable:
		default:
			return nil, err
		}
		if time.Now().Add(retryPause).Before(last) && rest(ctx, retryPause) {
			continue
		}
		if doubt {
			return nil, connect.NewError(connect.CodeAborted, fmt.Errorf("the outcome is unknown: it may have been done, or may still be; `evenkeel status` will show (%s)", message(err)))
		}
		return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("nothing was changed: %s", message(err)))
	}
}

// rest waits, and says whether ctx goes on.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// commit proposes an order, or tries it on the present State in a dry run.
func (s *Server) commit(ctx context.Context, who caller, a *Act, o order) (*Change, error) {
	c := cluster.Command{ID: a.ID, Actor: who.actor, Body: o.body}
	v := s.look(who, nil)
	if o.body == nil {
		return s.commitNothing(ctx, who, a, o)
	}
	if a.DryRun {
		c.At, c.Level = v.now, v.state.Level
		after, err := v.state.Apply(cluster.Meta{Index: v.state.Index + 1, Term: v.state.Term}, c)
		if err != nil {
			return nil, answer(err)
		}
		v.state = after
		return changeOf(v, false, o), nil
	}
	if _, err := s.cfg.Replica.Propose(ctx, c); err != nil {
		return nil, answer(err)
	}
	s.log.Info("operator", "did", c.Kind(), "who", who.actor.Name, "what", o.text, "reason", a.Reason)
	return changeOf(s.look(who, nil), true, o), nil
}

// commitNothing carries out what leaves no command in the log.
func (s *Server) commitNothing(ctx context.Context, who caller, a *Act, o order) (*Change, error) {
	if o.run != nil && !a.DryRun {
		if err := o.run(ctx); err != nil {
			return nil, answer(err)
		}
		s.log.Info("operator", "did", "run", "who", who.actor.Name, "what", o.text, "reason", a.Reason)
	}
	return changeOf(s.look(who, nil), !a.DryRun, o), nil
}

func changeOf(v view, done bool, o order) *Change {
	st := statusOf(v.state, v.now)
	out := &Change{Head: v.head("Change"), Done: done, Text: o.text, Mode: &Mode{st.Mode, st.ModeBy, st.ModeFor, st.Paused, st.Frozen}, Join: o.join}
	if m, ok := v.state.Move(o.move); ok {
		move := moveOf(v.state, m)
		out.Move = &move
	}
	return out
}

// answer turns what a Node says into what the wire says.
func answer(err error) error {
	if r := cluster.RefusalOf(err); r != nil && !r.Code.Late() {
		return refused(r) // what came late is prepared anew
	}
	code := connect.CodeUnavailable
	switch {
	case errors.Is(err, consensus.ErrUnknownOutcome), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		code = connect.CodeAborted
	case errors.Is(err, consensus.ErrInvalid), errors.Is(err, cluster.ErrFeatureLevel):
		code = connect.CodeInvalidArgument
	}
	return connect.NewError(code, err)
}

func refused(r *cluster.Refusal) error {
	e := connect.NewError(connect.CodeFailedPrecondition, r)
	e.Meta().Set(headerRefusal, string(r.Code))
	return e
}
