package rpc

import (
	"context"
	"sync"

	"github.com/evenkeel/evenkeel/consensus"
)

// session is one term of leadership: agents' streams and the batch of their
// snapshots live and die with it.
type session struct {
	node  *consensus.Node
	term  uint64
	batch *Batcher
	ctx   context.Context
	end   context.CancelFunc
	work  sync.WaitGroup
}

// followLeadership opens a session when the node begins to lead and ends it
// when it ceases to.
func (s *Server) followLeadership(node *consensus.Node) {
	defer s.endSession()
	for {
		changed := node.Changed()
		term, leads := node.Leading()
		if now := s.session.Load(); now != nil && (!leads || now.term != term) {
			s.endSession()
		}
		if leads && s.session.Load() == nil {
			s.beginSession(node, term)
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Server) beginSession(node *consensus.Node, term uint64) {
	now := &session{node: node, term: term, batch: NewBatcher(node, s.cfg.Limits.Tick, s.log)}
	now.ctx, now.end = context.WithCancel(s.ctx)
	now.work.Go(func() { now.batch.Run(now.ctx) })
	s.session.Store(now)
}

func (s *Server) endSession() {
	if now := s.session.Swap(nil); now != nil {
		now.end()
		now.work.Wait()
	}
}
