package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// welcome learns who calls and in which language, and serves the connection.
func (s *Server) welcome(raw net.Conn) {
	conn, id, err := s.handshake(raw)
	s.door.leave(raw)
	if err != nil {
		s.refuse(raw, id.Name, err)
		if errors.Is(err, errRevoked) && conn.ConnectionState().NegotiatedProtocol == ProtocolAgent && s.agents.enter(id.MemberID, conn) {
			s.farewell(conn)
			s.agents.leave(id.MemberID, conn)
		}
		raw.Close()
		return
	}
	switch conn.ConnectionState().NegotiatedProtocol {
	case ProtocolRaft:
		err = s.takeRaft(conn, id)
	case ProtocolJoin:
		err = s.serveJoin(conn)
	default:
		err = s.serveAgent(conn, id)
	}
	if err != nil {
		s.refuse(raw, id.Name, err)
		conn.Close()
	}
}

func (s *Server) handshake(raw net.Conn) (*tls.Conn, cluster.Identity, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Limits.Handshake)
	defer cancel()
	conn := tls.Server(raw, s.helloConfig())
	if err := conn.HandshakeContext(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no handshake within %v", s.cfg.Limits.Handshake)
		}
		return nil, cluster.Identity{}, err
	}
	if conn.ConnectionState().NegotiatedProtocol == ProtocolJoin {
		return conn, cluster.Identity{}, nil
	}
	id, err := peerIdentity(conn.ConnectionState(), s.cfg.Identity.ClusterID)
	if p := conn.ConnectionState().NegotiatedProtocol; err == nil && p != ProtocolRaft && p != ProtocolAgent {
		err = fmt.Errorf("speaks %q, neither %s nor %s", p, ProtocolRaft, ProtocolAgent)
	}
	if err == nil {
		err = s.refuseRevoked(id)
	}
	return conn, id, err
}

// takeRaft hands a stream to the Raft library if its owner may speak Raft: a
// forged frame on such a stream could take the cluster over.
func (s *Server) takeRaft(conn net.Conn, id cluster.Identity) error {
	node := s.node.Load()
	switch {
	case !isMember(id):
		return fmt.Errorf("a certificate of kind %s may not speak %s", id.Kind, ProtocolRaft)
	case node == nil:
		return fmt.Errorf("%s before this member is ready", ProtocolRaft)
	case !node.MaySpeakRaft(id.MemberID):
		return fmt.Errorf("member %s may not speak %s: the configuration does not name it", id.MemberID, ProtocolRaft)
	case !s.raftIn.enter(id.MemberID, conn):
		return errors.New("too many Raft streams")
	}
	counted := &countedConn{&boundedConn{Conn: conn, stall: s.cfg.Limits.Stall}, conn, &s.raftIn, id.MemberID}
	select {
	case s.raftStreams <- counted:
		return nil
	case <-s.raftClosed:
		return counted.Close()
	}
}

// serveAgent answers calls until the connection ends.
func (s *Server) serveAgent(conn net.Conn, id cluster.Identity) error {
	if !s.agents.enter(id.MemberID, conn) {
		return errors.New("too many connections")
	}
	defer s.agents.leave(id.MemberID, conn)
	s.http2.ServeConn(conn, &http2.ServeConnOpts{
		Context: withIdentity(s.ctx, id),
		Handler: s.mux,
		BaseConfig: &http.Server{
			MaxHeaderBytes: 16 << 10,
			ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		},
	})
	return nil
}
