package rpc

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// refuseRevoked is an error for a member that was removed: nobody speaks to it.
func (s *Server) refuseRevoked(id cluster.Identity) error {
	if node := s.node.Load(); node != nil && node.Revoked(id.MemberID) {
		return fmt.Errorf("%w: member %s (%s)", errRevoked, id.MemberID, id.Name)
	}
	return nil
}

var errRevoked = errors.New("was removed from the cluster")

// headerRevoked tells a removed member what it is.
const headerRevoked = "Ek-Revoked"

// farewell answers whatever a removed member asks with that it was removed, for
// a few seconds: else it would look for its cluster for ever, and its operator
// for a broken network.
func (s *Server) farewell(conn net.Conn) {
	if conn.SetDeadline(time.Now().Add(s.cfg.Limits.Handshake)) != nil {
		return
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := connect.NewError(connect.CodePermissionDenied, errRevoked)
		err.Meta().Set(headerRevoked, "1")
		_ = connect.NewErrorWriter(handlerOptions()...).Write(w, r, err) // it may have gone
	})
	s.http2.ServeConn(conn, &http2.ServeConnOpts{Context: s.ctx, Handler: refuse, BaseConfig: &http.Server{MaxHeaderBytes: 16 << 10}})
}

// saysRevoked says whether an answer was a farewell.
func saysRevoked(err error) bool {
	var e *connect.Error
	return errors.As(err, &e) && e.Meta().Get(headerRevoked) != ""
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
