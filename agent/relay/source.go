package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// Route is what libvirt is told to use for a passage.
type Route struct {
	PeerURI    string `json:"peer_uri"`    // the target's libvirtd, through libvirt.sock
	MigrateURI string `json:"migrate_uri"` // the target's QEMU, through memory.sock
	// DisksURI is the target's QEMU, too, through disks.sock: where disks go that
	// are copied along.
	DisksURI string `json:"disks_uri,omitempty"`
}

// Send opens a passage's sockets at the source. Doing it again changes nothing.
func (s *Server) Send(p Passage) (Route, error) {
	if p.Address == "" {
		return Route{}, errors.New("no address of the target's relay")
	}
	made, fresh, err := s.begin(p)
	if err != nil {
		return Route{}, err
	}
	if fresh {
		for _, c := range channels {
			if err := s.open(made, c); err != nil {
				s.end(p.Move, err.Error())
				return Route{}, err
			}
		}
		s.cfg.Logger.Info("passage opened", "move", p.Move, "vm", p.VM, "to", p.Peer, "at", p.Address)
	}
	return Route{
		PeerURI:    "qemu+unix:///system?socket=" + made.socket(ChannelLibvirt),
		MigrateURI: "unix://" + made.socket(ChannelMemory),
		DisksURI:   "unix://" + made.socket(ChannelDisks),
	}, nil
}

// open listens at a channel's socket and relays what comes.
func (s *Server) open(p *passage, c Channel) error {
	l, err := p.listen(c, s.cfg.Owner)
	if err != nil {
		return err
	}
	p.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed with the passage
			}
			p.work.Go(func() {
				err := s.carry(p, c, conn.(*net.UnixConn))
				s.cfg.Logger.Log(context.Background(), levelOf(err), "channel ended", "move", p.Move, "channel", c, "err", err)
			})
		}
	})
	return nil
}

func levelOf(err error) slog.Level {
	if err != nil {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// carry relays one connection of this host's libvirtd or QEMU.
func (s *Server) carry(p *passage, c Channel, near *net.UnixConn) error {
	far, err := s.dial(p, c)
	if err != nil {
		near.Close()
		return err
	}
	return s.join(p, near, far, copyBytes)
}

// join pipes two connections until they end or the passage does.
func (s *Server) join(p *passage, a, b halfCloser, outward func(to io.Writer, from io.Reader) error) error {
	defer p.leave(s.cfg.Now(), a, b)
	if !p.enter(a, b) {
		return errors.New("the passage is over, or has too many channels")
	}
	return pipe(a, b, outward, p.count)
}

// dial opens a channel to the target's relay.
func (s *Server) dial(p *passage, c Channel) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return nil, err
	}
	conn, err := s.introduce(ctx, raw, p, c)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("relay at %s: %w", p.Address, err)
	}
	return conn, nil
}

func (s *Server) introduce(ctx context.Context, raw net.Conn, p *passage, c Channel) (*tls.Conn, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeTimeout + dialTimeout)); err != nil {
		return nil, err
	}
	conn := tls.Client(raw, s.cfg.ClientTLS(Protocol))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	id, err := s.cfg.Identify(conn.ConnectionState())
	if err != nil {
		return nil, err
	}
	if id.MemberID != p.Peer {
		return nil, fmt.Errorf("member %s (%.80q) answers, it should be %s", id.MemberID, id.Name, p.Peer)
	}
	if err := writeMessage(conn, hello{Move: p.Move, Channel: c}); err != nil {
		return nil, err
	}
	var v verdict
	if err := readMessage(conn, &v); err != nil {
		return nil, err
	}
	if v.Error != "" {
		return nil, fmt.Errorf("it refuses: %.1024s", v.Error)
	}
	return conn, raw.SetDeadline(time.Time{})
}
