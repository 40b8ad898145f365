package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
)

func (s *Server) routes() http.Handler {
	opts := handlerOptions()
	mux := http.NewServeMux()
	mux.Handle(procPeer, connect.NewUnaryHandlerSimple(procPeer, s.peer, opts...))
	mux.Handle(procJoin, connect.NewUnaryHandlerSimple(procJoin, s.join, opts...))
	mux.Handle(procSign, connect.NewUnaryHandlerSimple(procSign, s.sign, opts...))
	mux.Handle(procCAKey, connect.NewUnaryHandlerSimple(procCAKey, s.caKey, opts...))
	mux.Handle(procRenew, connect.NewUnaryHandlerSimple(procRenew, s.renew, opts...))
	mux.Handle(procListDefinitions, connect.NewUnaryHandlerSimple(procListDefinitions, s.listDefinitions, opts...))
	mux.Handle(procKeepDefinitions, connect.NewUnaryHandlerSimple(procKeepDefinitions, s.keepDefinitions, opts...))
	mux.Handle(procPropose, connect.NewUnaryHandlerSimple(procPropose, s.propose, opts...))
	mux.Handle(procReadIndex, connect.NewUnaryHandlerSimple(procReadIndex, s.readIndex, opts...))
	mux.Handle(procAttach, withController(connect.NewBidiStreamHandler(procAttach, s.attach, opts...)))
	return mux
}

// ready returns the node, or the error to answer while there is none.
func (s *Server) ready() (*consensus.Node, error) {
	if node := s.node.Load(); node != nil {
		return node, nil
	}
	return nil, connect.NewError(connect.CodeUnavailable, errors.New("this member is starting"))
}

func (s *Server) peer(ctx context.Context, _ *peerRequest) (*peerResponse, error) {
	node, err := s.ready()
	if err != nil {
		return nil, err
	}
	info := node.PeerInfo()
	info.Admits, info.Known = node.MaySpeakRaft(caller(ctx).MemberID), node.DiskOf(caller(ctx).MemberID)
	return &peerResponse{info}, nil
}

func (s *Server) join(ctx context.Context, req *joinRequest) (*joinResponse, error) {
	node, err := s.ready()
	if err != nil {
		return nil, err
	}
	id := caller(ctx)
	if !isMember(id) {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("only agents and witnesses join"))
	}
	if err := node.Admit(ctx, id.MemberID, req.Address); err != nil {
		return nil, answer(node, err)
	}
	return &joinResponse{}, nil
}

func (s *Server) readIndex(ctx context.Context, _ *readIndexRequest) (*readIndexResponse, error) {
	node, err := s.ready()
	if err != nil {
		return nil, err
	}
	index, err := node.ReadIndex(ctx)
	if err != nil {
		return nil, answer(node, err)
	}
	return &readIndexResponse{index}, nil
}
