package rpc

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/evenkeel/evenkeel/consensus"
)

// herald remembers what an attached agent was last told of the Raft group.
type herald struct{ told consensus.Ticket }

// news is the ticket that the agent has not seen yet, nil if there is none.
func (h *herald) news(node *consensus.Node, member string) *consensus.Ticket {
	t, ok := node.TicketFor(member)
	if !ok || t.Same(h.told) {
		return nil
	}
	h.told = t
	return &t
}

// take hands a leader's ticket to this process's own node. It must be of the
// member at the other end of the stream, as TLS has proven it. Whose ticket is
// refused is no leader of this member's: the stream is to end.
func (u *Uplink) take(addr string, end *farEnd, t *consensus.Ticket) error {
	if t == nil || u.cfg.Take == nil {
		return nil
	}
	err := error(nil)
	if is := end.member(); t.Leader != is {
		err = fmt.Errorf("it names %.40q as the leader, and comes from member %.40q", t.Leader, is)
	} else {
		err = u.cfg.Take(*t)
	}
	if err != nil {
		u.log.Warn("a ticket was refused", "leader", addr, "err", err)
	}
	return err
}

// farEnd learns which member a call goes to.
type farEnd struct{ id atomic.Pointer[string] }

func (e *farEnd) member() string {
	if id := e.id.Load(); id != nil {
		return *id
	}
	return ""
}

// watch returns a context for the call.
func (e *farEnd) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if conn, ok := info.Conn.(*countedConn); ok {
			e.id.Store(&conn.peer)
		}
	}})
}
