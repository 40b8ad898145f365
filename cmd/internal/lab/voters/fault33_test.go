package voters

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Case 33 at the port of members, of a real daemon: certificates out of their
// time, and a member that holds half a frame. The cluster goes on beside it.
func TestFault33AtTheMembersPort(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	at := s.Members[0]
	for what, made := range map[string]time.Time{"has expired": time.Now().Add(-90 * time.Minute), "not valid yet": time.Now().Add(30 * time.Minute)} {
		badge, err := s.badge(made)
		s.must(err)
		for _, protocol := range []string{rpc.ProtocolAgent, rpc.ProtocolRaft} {
			conn, err := s.dial(at, badge, protocol)
			if err == nil { // TLS 1.3: the refusal comes with the first read
				_ = conn.SetDeadline(time.Now().Add(soon))
				var n int
				n, err = conn.Read(make([]byte, 1))
				conn.Close()
				if n > 0 {
					s.Errorf("%s: answered", what)
				}
			}
			if err == nil || strings.Contains(err.Error(), "timeout") {
				s.Errorf("%s, %s: %v", what, protocol, err)
			}
		}
		s.until("the log says "+what, func(context.Context) error {
			if !strings.Contains(at.Log(), what) {
				return errors.New("it does not")
			}
			return nil
		})
	}
	good, err := s.badge(time.Now())
	s.must(err)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x10\x04" // and less than half of SETTINGS
	for range 3 {
		conn, err := s.dial(at, good, rpc.ProtocolAgent)
		if err == nil {
			_, err = io.WriteString(conn, preface)
		}
		if err == nil {
			held = append(held, conn)
		}
	}
	s.ack("while half frames are held", at)
	for i, conn := range held {
		_ = conn.SetReadDeadline(time.Now().Add(soon)) // only bounds a hang
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			s.Errorf("connection %d is kept open: %v", i, err)
		}
	}
	if len(held) != 3 {
		s.Errorf("%d of 3 were let in with a good certificate", len(held))
	}
	s.agree("afterwards", s.Members...)
}

// badge is a certificate of the site's CA for somebody, made at a time and good
// for an hour from then on.
func (s *Site) badge(made time.Time) (tls.Certificate, error) {
	name := fmt.Sprint("stranger", made.Unix())
	pair, err := s.ca.Issue(certs.Request{Kind: cluster.KindWitness, Name: name, MemberID: uuid.NewString(), IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, made, time.Hour)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, key := filepath.Join(s.dir, name+".pem"), filepath.Join(s.dir, name+".key")
	if err := pair.Save(cert, key); err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(cert, key)
}

// dial connects to a member's port from inside its network.
func (s *Site) dial(m *Member, badge tls.Certificate, protocol string) (conn net.Conn, err error) {
	err = s.warden.inside(int(m.network), func() error {
		raw, err := net.DialTimeout("tcp", net.JoinHostPort(m.Address, clusterPort), 10*time.Second)
		conn = raw
		return err
	})
	if err != nil {
		return nil, err
	}
	over := tls.Client(conn, &tls.Config{
		Certificates: []tls.Certificate{badge}, MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		InsecureSkipVerify: true, // it is the daemon that has to look
	})
	if err := over.Handshake(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return over, nil
}
