package rpc

import (
	"context"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (s *Server) propose(ctx context.Context, req *proposeRequest) (*proposeResponse, error) {
	node, err := s.ready()
	if err != nil {
		return nil, err
	}
	c, err := cluster.DecodeCommand(req.Command)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if c.Actor, err = actor(caller(ctx), req.Operator, c); err != nil {
		s.log.Warn("command refused", "kind", c.Kind(), "from", caller(ctx).Name, "err", err)
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	index, err := node.Propose(ctx, c)
	if refusal := cluster.RefusalOf(err); refusal != nil {
		return &proposeResponse{Index: index, Refusal: refusal}, nil
	}
	if err != nil {
		return nil, answer(node, err)
	}
	return &proposeResponse{Index: index}, nil
}

// actor decides in whose name a command enters the log, and whether that one
// may send it. What counts is the certificate:
//
//	an operator's            its holder, operators' commands
//	an agent's               that agent, agents' commands
//	an agent's, forwarding   an operator "via" that agent, operators' commands
//
// An agent vouches for whom it let in at its unix socket or API; so the record
// names it too, and the State can tell such an actor from any member.
func actor(id cluster.Identity, forwarded *operator, c cluster.Command) (cluster.Actor, error) {
	switch {
	case id.Kind == cluster.KindOperator && forwarded != nil:
		return cluster.Actor{}, errors.New("only an agent forwards for an operator")
	case id.Kind == cluster.KindOperator || forwarded != nil:
		if !c.OperatorMay() {
			return cluster.Actor{}, fmt.Errorf("%s is no command of operators", c.Kind())
		}
	case !c.AgentMay():
		return cluster.Actor{}, fmt.Errorf("%s is no command of agents", c.Kind())
	}
	if forwarded == nil {
		return cluster.Actor{Kind: id.Kind, ID: id.MemberID, Name: id.Name}, nil
	}
	if !isText(forwarded.ID) || !isText(forwarded.Name) {
		return cluster.Actor{}, fmt.Errorf("operator %.80q, %.80q: id and name must be printable and of 1 to %d bytes", forwarded.ID, forwarded.Name, maxOperator)
	}
	return cluster.Actor{
		Kind: cluster.KindOperator,
		ID:   forwarded.ID + " via " + id.MemberID,
		Name: forwarded.Name + " via " + id.Name,
	}, nil
}

// maxOperator bounds an operator's id and name in bytes.
const maxOperator = 80

func isText(s string) bool {
	if s == "" || len(s) > maxOperator || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
