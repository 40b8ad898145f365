package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Client makes calls to members. It keeps one connection to each.
type Client struct {
	identity  cluster.Identity
	tls       func(protocols ...string) *tls.Config
	transport *http2.Transport
	http      *http.Client
	conns     crowd
	revoked   atomic.Pointer[func(member string) bool] // nil: nobody is
}

const dialTimeout = 4 * time.Second

// NewClient makes a Client with the certificate of an identity; clientTLS as
// in Config.
func NewClient(identity cluster.Identity, clientTLS func(protocols ...string) *tls.Config) *Client {
	c := &Client{identity: identity, tls: clientTLS, conns: crowd{perPeer: 1 << 10, all: 1 << 16}}
	c.transport = &http2.Transport{
		DialTLSContext: func(ctx context.Context, _, addr string, _ *tls.Config) (net.Conn, error) {
			conn, id, err := c.dial(ctx, addr, ProtocolAgent)
			if err != nil {
				return nil, &dialError{err}
			}
			if !c.conns.enter(id.MemberID, conn) {
				conn.Close()
				return nil, &dialError{net.ErrClosed}
			}
			return &countedConn{conn, conn, &c.conns, id.MemberID}, nil
		},
		DisableCompression: true, MaxHeaderListSize: 16 << 10, IdleConnTimeout: 90 * time.Second,
		ReadIdleTimeout: 2 * time.Second, PingTimeout: 2 * time.Second, WriteByteTimeout: 10 * time.Second,
	}
	c.http = &http.Client{Transport: c.transport}
	return c
}

// Close ends the client's connections; calls under way fail.
func (c *Client) Close() {
	c.conns.close()
	c.transport.CloseIdleConnections()
}

// dial opens a connection to a member of our cluster.
func (c *Client) dial(ctx context.Context, addr, protocol string) (*tls.Conn, cluster.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, cluster.Identity{}, err
	}
	conn := tls.Client(raw, c.tls(protocol))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, cluster.Identity{}, fmt.Errorf("dial %s: %w", addr, err)
	}
	id, err := peerIdentity(conn.ConnectionState(), c.identity.ClusterID)
	if revoked := c.revoked.Load(); err == nil && revoked != nil && (*revoked)(id.MemberID) {
		err = fmt.Errorf("%w: member %s (%s)", errRevoked, id.MemberID, id.Name)
	}
	if err == nil && !isMember(id) {
		err = fmt.Errorf("a certificate of kind %s answers", id.Kind)
	}
	if err != nil {
		conn.Close()
		return nil, cluster.Identity{}, fmt.Errorf("dial %s: %w", addr, err)
	}
	return conn, id, nil
}

// Peer asks the member at an address who it is and what it knows.
func (c *Client) Peer(ctx context.Context, addr string) (consensus.PeerInfo, error) {
	out, err := call[peerRequest, peerResponse](ctx, c, addr, procPeer, &peerRequest{})
	if saysRevoked(err) {
		return consensus.PeerInfo{}, fmt.Errorf("%s: %w", addr, consensus.ErrRevoked)
	}
	if err != nil {
		return consensus.PeerInfo{}, err
	}
	return out.Peer, nil
}

// Join asks the leader at an address to admit this member at its own.
func (c *Client) Join(ctx context.Context, addr, own string) error {
	_, err := call[joinRequest, joinResponse](ctx, c, addr, procJoin, &joinRequest{own})
	return err
}

// ReadIndex asks the leader at an address which index a State must reach to
// hold all that was acknowledged before the call.
func (c *Client) ReadIndex(ctx context.Context, addr string) (uint64, error) {
	out, err := call[readIndexRequest, readIndexResponse](ctx, c, addr, procReadIndex, &readIndexRequest{})
	if err != nil {
		return 0, err
	}
	return out.Index, nil
}

// propose sends a command to the leader at an address.
func (c *Client) propose(ctx context.Context, addr string, req *proposeRequest) (*proposeResponse, error) {
	return call[proposeRequest, proposeResponse](ctx, c, addr, procPropose, req)
}

func (c *Client) attach(ctx context.Context, addr string) (*connect.BidiStreamForClientSimple[attachUp, attachDown], error) {
	opts := append(clientOptions(), connect.WithCodec(streamCodec{}))
	return connect.NewClient[attachUp, attachDown](c.http, "https://"+addr+procAttach, opts...).CallBidiStreamSimple(ctx)
}

func call[Req, Res any](ctx context.Context, c *Client, addr, procedure string, req *Req) (*Res, error) {
	out, err := connect.NewClient[Req, Res](c.http, "https://"+addr+procedure, clientOptions()...).CallUnary(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", addr, err)
	}
	return out.Msg, nil
}
