package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// read adds a method that reads the State: linearizably, from the leader, if
// that answers within the given time; else this replica's, marked as stale.
func read[Req, Resp any](s *Server, r *router, method string, within time.Duration, answer func(context.Context, view, *Req) (*Resp, error)) {
	handle(r, method, func(ctx context.Context, who caller, req *Req) (*Resp, error) {
		asked, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		_, err := s.cfg.Replica.ReadIndex(asked)
		if err == nil {
			return answer(ctx, s.look(who, nil), req)
		}
		if who.forwarded {
			return nil, connect.NewError(connect.CodeUnavailable, fmt.Errorf("%w: %w", errNoHop, err))
		}
		resp, err := forward[Req, Resp](asked, s, who, method, req, err)
		if err == nil || final(err) {
			return resp, err
		}
		return answer(ctx, s.look(who, s.staleBecause(message(err))), req)
	})
}

// forward passes a request on to the leader. why is what this member said
// when it was asked to answer itself.
func forward[Req, Resp any](ctx context.Context, s *Server, who caller, method string, req *Req, why error) (*Resp, error) {
	if !errors.Is(why, consensus.ErrNotLeader) {
		return nil, connect.NewError(connect.CodeUnavailable, why)
	}
	leader, err := s.leader()
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	resp, err := callPeer[Req, Resp](ctx, s.peers, leader.APIAddress, method, req, &who)
	if err == nil {
		return resp, nil
	}
	if final(err) {
		return nil, asOurs(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || connect.CodeOf(err) == connect.CodeDeadlineExceeded {
		err = connect.NewError(connect.CodeDeadlineExceeded, errors.New("no answer in time"))
	}
	code := connect.CodeUnavailable
	if !neverSent(err) && (!connect.IsWireError(err) || connect.CodeOf(err) == connect.CodeAborted) {
		code = connect.CodeAborted // it may have been carried out
	}
	return nil, connect.NewError(code, fmt.Errorf("leader %s at %s: %s", leader.Name, leader.APIAddress, message(err)))
}

// neverSent says whether a call surely did not leave this host.
func neverSent(err error) bool {
	var handshake *HandshakeError
	var dial *net.OpError
	return errors.As(err, &handshake) || errors.As(err, &dial) && dial.Op == "dial"
}

// leader finds the leader's API.
func (s *Server) leader() (cluster.Member, error) {
	h := s.cfg.Replica.Health()
	if h.Leader == "" {
		return cluster.Member{}, consensus.ErrNoLeader
	}
	state, _ := s.cfg.Replica.State()
	m, ok := state.Member(h.Leader)
	if h.LeaderAPI != "" { // this member has no seat in the Raft group, and no State worth asking
		m, ok = cluster.Member{ID: h.Leader, Name: h.Leader, APIAddress: h.LeaderAPI}, true
	}
	switch {
	case h.Leader == s.cfg.Self.MemberID:
		return m, errors.New("this member leads but has no majority behind it")
	case !ok || m.APIAddress == "" || s.peers == nil:
		return m, fmt.Errorf("leader %s has announced no API address yet", h.Leader)
	}
	return m, nil
}

// final says whether an error is the leader's answer, which no other attempt
// would change.
func final(err error) bool {
	if !connect.IsWireError(err) {
		return false
	}
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeFailedPrecondition, connect.CodePermissionDenied, connect.CodeUnimplemented:
		return true
	}
	return false
}

// asOurs passes on another member's error as an answer of this one.
func asOurs(err error) error {
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return err
	}
	out := connect.NewError(wire.Code(), errors.New(wire.Message()))
	if code := wire.Meta().Get(headerRefusal); code != "" {
		out.Meta().Set(headerRefusal, code)
	}
	return out
}

// message is an error's text without Connect's code in front of it.
func message(err error) string {
	var c *connect.Error
	if errors.As(err, &c) {
		return c.Message()
	}
	return err.Error()
}
