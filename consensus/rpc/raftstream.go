package rpc

import (
	"context"
	"fmt"
	"net"

	"github.com/evenkeel/evenkeel/consensus"
)

// network is the Server as a Node sees it: consensus.Network.
type network struct{ s *Server }

// Accept implements net.Listener: the next stream of a member that may speak
// Raft.
func (n network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.s.raftStreams:
		return conn, nil
	case <-n.s.raftClosed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener: it ends all Raft streams, in and out. The
// agents' side of the port stays open.
func (n network) Close() error {
	n.s.closeRaft.Do(func() {
		close(n.s.raftClosed)
		n.s.raftIn.close()
		n.s.raftOut.close()
	})
	return nil
}

// Addr implements net.Listener: the address under which others dial us.
func (n network) Addr() net.Addr { return hostPort(n.s.cfg.Advertise) }

// DialRaft implements consensus.Network.
func (n network) DialRaft(ctx context.Context, addr, member string) (net.Conn, error) {
	conn, id, err := n.s.client.dial(ctx, addr, ProtocolRaft)
	if err != nil {
		return nil, err
	}
	if id.MemberID != member {
		conn.Close()
		return nil, fmt.Errorf("dial %s: member %s (%s) answers, it should be %s", addr, id.MemberID, id.Name, member)
	}
	if !n.s.raftOut.enter(member, conn) {
		conn.Close()
		return nil, net.ErrClosed
	}
	return &countedConn{conn, conn, &n.s.raftOut, member}, nil
}

// Peer implements consensus.Network.
func (n network) Peer(ctx context.Context, addr string) (consensus.PeerInfo, error) {
	return n.s.client.Peer(ctx, addr)
}

// Join implements consensus.Network.
func (n network) Join(ctx context.Context, addr string) error {
	return n.s.client.Join(ctx, addr, n.s.cfg.Advertise)
}

// countedConn leaves its crowd when it is closed.
type countedConn struct {
	net.Conn
	known net.Conn // as the crowd knows it
	crowd *crowd
	peer  string
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.crowd.leave(c.peer, c.known)
	return c.Conn.Close()
}

type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (a hostPort) String() string { return string(a) }
