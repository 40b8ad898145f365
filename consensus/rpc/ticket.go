package rpc

import "github.com/evenkeel/evenkeel/consensus"

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

// take hands a leader's ticket to this process's own node.
func (u *Uplink) take(addr string, t *consensus.Ticket) {
	if t == nil || u.cfg.Take == nil {
		return
	}
	if err := u.cfg.Take(*t); err != nil {
		u.log.Warn("a ticket was refused", "leader", addr, "err", err)
	}
}
