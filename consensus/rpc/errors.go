package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
)

// Headers of a redirect: who leads, as far as the answering member knows.
const (
	headerLeader        = "Ek-Leader"
	headerLeaderAddress = "Ek-Leader-Address"
)

// redirect is the answer of a member that does not lead.
func redirect(node *consensus.Node) error {
	member, addr, ok := node.Leader()
	if !ok {
		return connect.NewError(connect.CodeUnavailable, consensus.ErrNoLeader)
	}
	err := connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%w; %s at %s does", consensus.ErrNotLeader, member, addr))
	err.Meta().Set(headerLeader, member)
	err.Meta().Set(headerLeaderAddress, addr)
	return err
}

// leaderIn finds the leader's address in a redirect.
func leaderIn(err error) (addr string, ok bool) {
	var e *connect.Error
	if !errors.As(err, &e) || e.Code() != connect.CodeFailedPrecondition {
		return "", false
	}
	addr = http.Header(e.Meta()).Get(headerLeaderAddress)
	return addr, addr != ""
}

// answer turns what a Node says into what the wire says. CodeAborted is kept
// for one meaning: the outcome is unknown.
func answer(node *consensus.Node, err error) error {
	code := connect.CodeUnavailable
	switch {
	case errors.Is(err, consensus.ErrUnknownOutcome), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		code = connect.CodeAborted
	case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, consensus.ErrNoLeader):
		return redirect(node)
	case errors.Is(err, consensus.ErrInvalid):
		code = connect.CodeInvalidArgument
	case errors.Is(err, consensus.ErrNotAdmitted):
		code = connect.CodePermissionDenied
	case errors.Is(err, consensus.ErrBusy):
		code = connect.CodeResourceExhausted
	}
	return connect.NewError(code, err)
}

// dialError marks a call that never left this host.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// fate says what became of a command whose call failed.
type fate int

const (
	fateUnknown fate = iota // it may have been proposed
	fateRetry               // it was not proposed, another attempt may do
	fateRefused             // it was not proposed, and never will be
)

func fateOf(err error) fate {
	var d *dialError
	if errors.As(err, &d) {
		return fateRetry
	}
	if !connect.IsWireError(err) {
		return fateUnknown
	}
	switch connect.CodeOf(err) {
	case connect.CodeFailedPrecondition, connect.CodeUnavailable, connect.CodeResourceExhausted:
		return fateRetry
	case connect.CodeInvalidArgument, connect.CodePermissionDenied, connect.CodeUnauthenticated, connect.CodeUnimplemented, connect.CodeNotFound:
		return fateRefused
	}
	return fateUnknown
}
