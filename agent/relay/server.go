package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Config is what a Server needs.
type Config struct {
	Dir     string       // of the passages' sockets; the same path on every host, for libvirt uses one path at both ends
	Control string       // the control socket, for the daemon alone
	Peers   net.Listener // TCP, for the other hosts' relays
	Libvirt []string     // this host's libvirt sockets, tried in this order
	Owner   Owner        // QEMU's user

	// ServerTLS and ClientTLS make a configuration for one connection. They must
	// demand a certificate of the other end and verify it against the cluster's
	// CA; Identify reads whom it speaks for.
	ServerTLS, ClientTLS func(protocols ...string) *tls.Config
	Identify             func(tls.ConnectionState) (cluster.Identity, error)

	Now    func() time.Time
	Logger *slog.Logger
}

const (
	// handshakeTimeout is for a handshake with its hello and the answer.
	handshakeTimeout = 5 * time.Second
	dialTimeout      = 5 * time.Second
	// maxHandshakes bounds the connections of strangers.
	maxHandshakes = 64
	// maxPassages bounds the moves in hand; a host has far fewer in flight.
	maxPassages = 64
	// idleLimit ends a passage that nothing goes through: its daemon is gone. An
	// order is not open for so long before the migration begins.
	idleLimit = 30 * time.Minute
)

// Server relays for one host.
type Server struct {
	cfg     Config
	control net.Listener

	mu        sync.Mutex
	closed    bool
	passages  map[string]*passage // by move
	strangers map[net.Conn]struct{}

	work sync.WaitGroup
}

// New opens the control socket. What is left of an earlier relay is removed:
// its migrations ended with it.
func New(cfg Config) (*Server, error) {
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	// Others may pass through to a passage's own directory, and see none.
	if err := os.Mkdir(cfg.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	if err := os.Chmod(cfg.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	control, err := listenControl(cfg.Control)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return &Server{cfg: cfg, control: control, passages: map[string]*passage{}, strangers: map[net.Conn]struct{}{}}, nil
}

// Run serves until ctx ends, and waits for what it began.
func (s *Server) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { s.accept(s.cfg.Peers, s.welcome) })
	loops.Go(func() { s.accept(s.control, s.obey) })
	loops.Go(func() { s.tidy(ctx) })
	<-ctx.Done()
	s.cfg.Peers.Close()
	s.control.Close()
	loops.Wait()
	s.shut()
	s.work.Wait()
}

// shut ends all passages and strangers.
func (s *Server) shut() {
	s.mu.Lock()
	s.closed = true
	for c := range s.strangers {
		c.Close()
	}
	var all []*passage
	for _, p := range s.passages {
		all = append(all, p)
	}
	clear(s.passages)
	s.mu.Unlock()
	for _, p := range all {
		s.finish(p, "the relay stops")
	}
}

// accept serves each connection in a goroutine of its own, within the bound on
// strangers.
func (s *Server) accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, most likely
			s.cfg.Logger.Error("accept", "err", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if !s.admit(conn) {
			conn.Close()
			continue
		}
		s.work.Go(func() { serve(conn) })
	}
}

func (s *Server) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.strangers) >= maxHandshakes {
		return false
	}
	s.strangers[conn] = struct{}{}
	return true
}

// known takes a connection off the list of strangers.
func (s *Server) known(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.strangers, conn)
}

// begin adds a passage, or finds that it is there.
func (s *Server) begin(p Passage) (_ *passage, fresh bool, err error) {
	if err := p.check(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.passages[p.Move]; known != nil {
		if known.same(p) {
			return known, false, nil
		}
		return nil, false, fmt.Errorf("move %s is in hand already, of VM %s with %s", p.Move, known.VM, known.Peer)
	}
	switch {
	case s.closed:
		return nil, false, errors.New("the relay stops")
	case len(s.passages) >= maxPassages:
		return nil, false, fmt.Errorf("%d moves are in hand, no more are taken", maxPassages)
	}
	p.Began = s.cfg.Now()
	made := newPassage(p, s.cfg.Dir)
	if err := made.makeDir(s.cfg.Owner); err != nil {
		return nil, false, err
	}
	s.passages[p.Move] = made
	return made, true, nil
}

func (s *Server) find(move string) *passage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passages[move]
}

// end ends a passage, if it is there.
func (s *Server) end(move, why string) {
	s.mu.Lock()
	p := s.passages[move]
	delete(s.passages, move)
	s.mu.Unlock()
	if p != nil {
		s.finish(p, why)
	}
}

func (s *Server) finish(p *passage, why string) {
	err := p.close()
	v := p.view()
	s.cfg.Logger.Info("passage ends", "move", v.Move, "vm", v.VM, "why", why, "bytes", v.Bytes, "after", s.cfg.Now().Sub(v.Began).Round(time.Millisecond), "err", err)
}

// tidy ends passages that their daemon forgot.
func (s *Server) tidy(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range s.list() {
			if known := s.find(p.Move); known != nil && known.idleFor(s.cfg.Now()) > idleLimit {
				s.end(p.Move, fmt.Sprintf("nothing went through it for %v", idleLimit))
			}
		}
	}
}
