package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Receive lets one member's relay in for one VM. Doing it again changes
// nothing.
func (s *Server) Receive(p Passage) error {
	p.Address = ""
	_, fresh, err := s.begin(p)
	if fresh {
		s.cfg.Logger.Info("passage opened", "move", p.Move, "vm", p.VM, "from", p.Peer)
	}
	return err
}

// welcome serves one channel that another host's relay opens.
func (s *Server) welcome(raw net.Conn) {
	conn, p, h, err := s.greet(raw)
	if err != nil {
		s.known(raw)
		raw.Close()
		s.cfg.Logger.Warn("channel refused", "from", raw.RemoteAddr().String(), "move", h.Move, "channel", h.Channel, "err", err)
		return
	}
	local, err := s.connect(p, h.Channel)
	if sent := writeMessage(conn, verdictOf(err)); err == nil {
		err = sent
	}
	s.known(raw)
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err == nil {
		outward := copyBytes
		if h.Channel == ChannelLibvirt {
			outward = filter{p.VM}.run
		}
		err = s.join(p, conn, local, outward)
	} else {
		conn.Close()
		if local != nil {
			local.Close()
		}
	}
	s.cfg.Logger.Log(context.Background(), levelOf(err), "channel ended", "move", h.Move, "channel", h.Channel, "err", err)
}

func verdictOf(err error) verdict {
	if err == nil {
		return verdict{}
	}
	return verdict{Error: clip(err.Error(), 1024)}
}

func clip(text string, n int) string { return text[:min(len(text), n)] }

// greet learns who calls, and for which passage.
func (s *Server) greet(raw net.Conn) (conn *tls.Conn, p *passage, h hello, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := raw.SetDeadline(time.Now().Add(handshakeTimeout + dialTimeout)); err != nil {
		return nil, nil, h, err
	}
	conn = tls.Server(raw, s.cfg.ServerTLS(Protocol))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, h, err
	}
	id, err := s.cfg.Identify(conn.ConnectionState())
	if err != nil {
		return nil, nil, h, err
	}
	if err := readMessage(conn, &h); err != nil {
		return nil, nil, h, fmt.Errorf("hello of %.80q: %w", id.Name, err)
	}
	p, err = s.admits(id, h)
	if err != nil {
		_ = writeMessage(conn, verdictOf(err)) // it is cut off anyway
		return nil, nil, h, err
	}
	return conn, p, h, nil
}

// admits says which passage a member may use.
func (s *Server) admits(id cluster.Identity, h hello) (*passage, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	p := s.find(h.Move)
	if p == nil || p.Address != "" || p.Peer != id.MemberID || id.Kind != cluster.KindAgent {
		// One answer for all: a stranger learns nothing of the moves here.
		return nil, fmt.Errorf("member %s (%.80q) is not awaited with move %s", id.MemberID, id.Name, h.Move)
	}
	return p, nil
}

// connect dials this host's end of a channel.
func (s *Server) connect(p *passage, c Channel) (halfCloser, error) {
	paths := s.cfg.Libvirt
	if c != ChannelLibvirt {
		paths = []string{p.socket(c)} // QEMU listens there since libvirt's Prepare
	}
	var errs []error
	for _, path := range paths {
		conn, err := net.DialTimeout("unix", path, dialTimeout)
		if err == nil {
			return conn.(*net.UnixConn), nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
