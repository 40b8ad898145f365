package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/roles"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/definitions"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Replica is what the server needs of consensus.Node.
type Replica interface {
	State() (cluster.State, uint64)
	ReadIndex(ctx context.Context) (index uint64, err error)
	Propose(ctx context.Context, c cluster.Command) (index uint64, err error)
	Health() consensus.Health
}

// Local is what the server needs of this host's agent.
type Local interface {
	// VMs gives the counters of this host's VMs, read now.
	VMs(ctx context.Context) ([]LocalVM, error)
}

// Config is what a Server needs.
type Config struct {
	Replica Replica
	Local   Local   // nil on a witness
	Journal Journal // nil: this member keeps no journal
	Events  Events  // nil: this member remembers no events
	// Definitions is this member's memory of how VMs are defined; nil: it has none.
	Definitions *definitions.Store
	// Webhooks tells how this member's deliveries of events go; nil: it has none.
	Webhooks func() []Webhook
	Members  Membership       // nil: who is in the cluster cannot be changed here
	Self     cluster.Identity // of this member's certificate
	Name     string           // of this member, for people
	Version  string           // of the binary

	Listen string        // host:port for HTTPS, "" for none
	Socket string        // path of the unix socket, "" for none
	Group  string        // who may open the socket beside root; "" is evenkeel
	Roles  *roles.Grants // what processes may do at the socket; nil: roles.Default

	// ServerTLS and ClientTLS make a configuration that demands a certificate of
	// the other end and verifies it against the cluster's CA.
	ServerTLS func(protocols ...string) *tls.Config
	ClientTLS func(protocols ...string) *tls.Config

	// CertExpires is when this member's certificate does; nil: not known.
	CertExpires func() time.Time
	// Revoked says whether a member was removed; nil: none was.
	Revoked func(member string) bool

	Limits Limits
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger
}

// Server answers operators and other members.
type Server struct {
	cfg     Config
	log     *slog.Logger
	peers   *peerClient
	servers []served
	plan    chan struct{} // one plan at a time
	waiting chan struct{} // requests that wait for events
	quit    chan struct{} // closed when the server is to end: nobody waits any more
	ending  sync.Once
}

// served is a listener and what serves it.
type served struct {
	http *http.Server
	lis  net.Listener
	tls  bool
}

// Durations of the HTTP servers.
const (
	headerTime = 5 * time.Second // also bounds the TLS handshake
	bodyTime   = 10 * time.Second
	answerTime = 40 * time.Second
	idleTime   = 2 * time.Minute
	stopTime   = 3 * time.Second
)

// Listen opens the listeners; Run serves them.
func Listen(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Group == "" {
		cfg.Group = "evenkeel"
	}
	if cfg.Roles == nil {
		grants := roles.Default()
		cfg.Roles = &grants
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{cfg: cfg, log: cfg.Logger.With("part", "api"), plan: make(chan struct{}, 1), waiting: make(chan struct{}, maxWaiting), quit: make(chan struct{})}
	if cfg.ClientTLS != nil {
		s.peers = newPeerClient(cfg.ClientTLS)
	}
	handler := s.routes()
	if cfg.Listen != "" {
		lis, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("API: %w; another evenkeeld, or listen.api is not an address of this host", err)
		}
		lis = capped(lis, maxConnections, maxConnectionsPerHost)
		server := s.httpServer(introduce(handler, s.byCertificate))
		server.TLSConfig = cfg.ServerTLS("h2", "http/1.1")
		s.servers = append(s.servers, served{server, lis, true})
	}
	if cfg.Socket != "" {
		lis, err := listenUnix(cfg.Socket, cfg.Group)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		server := s.httpServer(handler)
		server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, bySocket(conn, *cfg.Roles, cfg.Name))
		}
		s.servers = append(s.servers, served{server, lis, false})
	}
	return s, nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, 2*maxRequest),
		ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 16 << 10,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: 32},
		// Strangers at the port must not fill the log.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// introduce learns from each request who sent it.
func introduce(h http.Handler, by func(*http.Request) introduction) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, by(r))))
	})
}

// Addr is where HTTPS listens, nil if it does not.
func (s *Server) Addr() net.Addr {
	for _, l := range s.servers {
		if l.tls {
			return l.lis.Addr()
		}
	}
	return nil
}

// Run serves until ctx ends, lets the requests under way finish, and closes.
// It returns nil when ctx ended.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for _, l := range s.servers {
		wg.Go(func() {
			err := l.serve()
			if !errors.Is(err, http.ErrServerClosed) {
				stop(fmt.Errorf("API at %v: %w", l.lis.Addr(), err))
			}
		})
	}
	<-ctx.Done()
	s.ending.Do(func() { close(s.quit) })
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	for _, l := range s.servers {
		if l.http.Shutdown(last) != nil {
			l.http.Close()
		}
	}
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return errors.Join(cause, s.Close())
	}
	return s.Close()
}

func (l served) serve() error {
	if l.tls {
		return l.http.ServeTLS(l.lis, "", "")
	}
	return l.http.Serve(l.lis)
}

// Close closes the listeners of a server that was never run, and the
// connections to other members.
func (s *Server) Close() error {
	var errs []error
	for _, l := range s.servers {
		if err := l.http.Close(); err != nil {
			errs = append(errs, err)
		}
		if err := l.lis.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.peers != nil {
		s.peers.close()
	}
	return errors.Join(errs...)
}
