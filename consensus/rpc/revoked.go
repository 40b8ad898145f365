package rpc

import (
	"fmt"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// refuseRevoked is an error for a member that was removed: nobody speaks to it.
func (s *Server) refuseRevoked(id cluster.Identity) error {
	if node := s.node.Load(); node != nil && node.Revoked(id.MemberID) {
		return fmt.Errorf("member %s (%s) was removed from the cluster", id.MemberID, id.Name)
	}
	return nil
}

// followRevocations cuts the connections of members that are removed, at once:
// both ways, both languages.
func (s *Server) followRevocations(node *consensus.Node) {
	known := 0
	for {
		changed := node.Changed()
		gone := node.Revocations()
		if len(gone) != known {
			known = len(gone)
			for _, member := range gone {
				s.agents.cut(member)
				s.raftIn.cut(member)
				s.raftOut.cut(member)
				s.client.conns.cut(member)
			}
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return
		}
	}
}

// cut closes a peer's connections; their owners leave.
func (c *crowd) cut(peer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.peers[peer] {
		conn.Close()
	}
}
