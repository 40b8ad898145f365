package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Config is what a Server needs.
type Config struct {
	Listen    string           // host:port to listen on
	Advertise string           // host:port under which others reach it; "" takes the listener's
	Identity  cluster.Identity // whose certificate the TLS configurations show

	// ServerTLS and ClientTLS make a configuration for one connection, so that
	// renewed certificates are seen. They must demand a certificate of the other
	// end and verify it against the cluster's CA.
	ServerTLS func(protocols ...string) *tls.Config
	ClientTLS func(protocols ...string) *tls.Config

	// JoinTLS makes a configuration for hosts that have no certificate yet; CA is
	// the CA's certificates in PEM; Authority issues theirs. nil: none can join.
	JoinTLS   func(protocol string) *tls.Config
	CA        func() ([]byte, error)
	Authority Authority

	// Definitions keeps how the hosts' VMs are defined; nil: this member does not.
	Definitions *definitions.Store

	Logger *slog.Logger
	Limits Limits // zero values mean the defaults
}

// Server is the port 7471 of one evenkeeld.
type Server struct {
	cfg     Config
	log     *slog.Logger
	lis     net.Listener
	client  *Client
	http2   *http2.Server
	mux     http.Handler
	door    door
	agents  crowd
	joining crowd

	raftIn, raftOut crowd
	raftStreams     chan net.Conn
	raftClosed      chan struct{}
	closeRaft       sync.Once

	node    atomic.Pointer[consensus.Node]
	session atomic.Pointer[session]
	streams streams
	refused atomic.Uint64
	grumble quiet

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// Listen opens the port. Agents are answered "unavailable" and Raft streams
// are turned away until Serve.
func Listen(cfg Config) (*Server, error) {
	if cfg.Identity.ClusterID == "" || !isMember(cfg.Identity) {
		return nil, fmt.Errorf("listen on %s: a certificate of kind %q cannot serve; use an agent's or a witness's", cfg.Listen, cfg.Identity.Kind)
	}
	lis, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Advertise == "" {
		cfg.Advertise = lis.Addr().String()
	}
	l := cfg.Limits
	s := &Server{
		cfg: cfg, log: cfg.Logger, lis: lis,
		client: NewClient(cfg.Identity, cfg.ClientTLS),
		door:   door{all: l.Handshakes, perHost: l.PerHost},
		agents: crowd{perPeer: l.PerPeer, all: l.Connections}, joining: crowd{perPeer: 1, all: maxEnrolments},
		raftIn: crowd{perPeer: l.PerPeer, all: l.Connections}, raftOut: crowd{perPeer: l.PerPeer, all: l.Connections},
		raftStreams: make(chan net.Conn), raftClosed: make(chan struct{}),
	}
	s.http2 = &http2.Server{
		MaxConcurrentStreams: 32, MaxReadFrameSize: 64 << 10, IdleTimeout: 2 * time.Minute,
		ReadIdleTimeout: 15 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: 10 * time.Second,
	}
	s.mux = s.routes()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.accept)
	return s, nil
}

// Network is what consensus.Open needs of the port.
func (s *Server) Network() consensus.Network { return network{s} }

// Client makes calls to other members with this one's certificate.
func (s *Server) Client() *Client { return s.client }

// Address is where others reach this port.
func (s *Server) Address() string { return s.cfg.Advertise }

// Serve begins to answer for a node. It is called once.
func (s *Server) Serve(node *consensus.Node) {
	s.node.Store(node)
	revoked := node.Revoked
	s.client.revoked.Store(&revoked)
	s.work.Go(func() { s.followLeadership(node) })
	s.work.Go(func() { s.followRevocations(node) })
	s.work.Go(func() { s.followAuthority(node) })
}

// Stats are figures for metrics.
type Stats struct {
	Agents      int    // open ek-agent/1 connections
	RaftStreams int    // open incoming ek-raft/1 connections
	Attached    int    // agents' streams, if this member leads
	Refused     uint64 // connections turned away since the start
}

// Stats looks at the port.
func (s *Server) Stats() Stats {
	return Stats{s.agents.count(), s.raftIn.count(), s.streams.count(), s.refused.Load()}
}

// Close ends every connection and waits for their goroutines. Close the Node
// first.
func (s *Server) Close() error {
	err := s.lis.Close()
	s.cancel()
	s.door.close()
	s.agents.close()
	s.joining.close()
	_ = network{s}.Close()
	s.client.Close()
	s.work.Wait()
	return err
}

func (s *Server) accept() {
	delay := time.Duration(0)
	for {
		conn, err := s.lis.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.log.Error("accept a connection", "err", err, "again_in", delay)
			select {
			case <-time.After(delay):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		delay = 0
		if !s.door.enter(conn) {
			s.refuse(conn, "", errors.New("too many handshakes are under way"))
			conn.Close()
			continue
		}
		s.work.Go(func() { s.welcome(conn) })
	}
}
