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

	Logger *slog.Logger
	Limits Limits // zero values mean the defaults
}

// Limits bound what the port takes.
type Limits struct {
	Handshake   time.Duration // from accepting to a finished handshake; default 5 s
	Handshakes  int           // under way at once; default 256
	PerHost     int           // handshakes under way from one address; default 32
	Connections int           // open at once, of each protocol; default 4096
	PerPeer     int           // of those, of one member or operator; default 16
	Silence     time.Duration // an attached agent that says nothing for so long is cut off; default 20 s
	Stall       time.Duration // a Raft stream that pauses for so long within a request is cut off; default 10 s
	Tick        time.Duration // load snapshots that arrive within it become one entry; default 200 ms
}

func (l Limits) withDefaults() Limits {
	set := func(at *int, value int) {
		if *at == 0 {
			*at = value
		}
	}
	setTime := func(at *time.Duration, value time.Duration) {
		if *at == 0 {
			*at = value
		}
	}
	setTime(&l.Handshake, 5*time.Second)
	set(&l.Handshakes, 256)
	set(&l.PerHost, 32)
	set(&l.Connections, 4096)
	set(&l.PerPeer, 16)
	setTime(&l.Silence, 20*time.Second)
	setTime(&l.Stall, 10*time.Second)
	setTime(&l.Tick, 200*time.Millisecond)
	return l
}

// Server is the port 7471 of one evenkeeld.
type Server struct {
	cfg    Config
	log    *slog.Logger
	lis    net.Listener
	client *Client
	http2  *http2.Server
	mux    http.Handler
	door   door
	agents crowd

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
		agents: crowd{perPeer: l.PerPeer, all: l.Connections},
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
	s.work.Go(func() { s.followLeadership(node) })
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

// welcome learns who calls and in which language, and serves the connection.
func (s *Server) welcome(raw net.Conn) {
	conn, id, err := s.handshake(raw)
	s.door.leave(raw)
	if err != nil {
		s.refuse(raw, id.Name, err)
		raw.Close()
		return
	}
	if conn.ConnectionState().NegotiatedProtocol == ProtocolRaft {
		err = s.takeRaft(conn, id)
	} else {
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
	conn := tls.Server(raw, s.cfg.ServerTLS(ProtocolRaft, ProtocolAgent))
	if err := conn.HandshakeContext(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no handshake within %v", s.cfg.Limits.Handshake)
		}
		return nil, cluster.Identity{}, err
	}
	id, err := peerIdentity(conn.ConnectionState(), s.cfg.Identity.ClusterID)
	if p := conn.ConnectionState().NegotiatedProtocol; err == nil && p != ProtocolRaft && p != ProtocolAgent {
		err = fmt.Errorf("speaks %q, neither %s nor %s", p, ProtocolRaft, ProtocolAgent)
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
