package voters

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
)

// Three members whose certificates end within two minutes renew them by
// themselves, through the one that has the CA's key, without a restart. When the
// first ones have ended they still speak, also one that is started anew; and one
// is renewed by hand.
func TestCertificatesAreRenewed(t *testing.T) {
	const short = 90 * time.Second
	s := prepare(t, Plain, Plain, Plain)
	s.must(s.Members[0].giveCA())
	ended := time.Now().Add(short)
	for _, m := range s.Members {
		s.must(m.certifyFor(m.ID, short))
	}
	s.must(s.Start())
	s.ack("at first", s.Members[0])
	s.until("renewed by themselves", func(context.Context) error {
		for _, m := range s.Members {
			if left, err := m.certificateLeft(); err != nil || left < 10*time.Minute {
				return fmt.Errorf("%s: %v left, %w", m.Name, left, err)
			}
		}
		return nil
	})
	time.Sleep(time.Until(ended) + time.Second) // the first ones are good for nothing now
	s.ack("the first ones have ended", s.Members[1])
	leader := s.agree("the first ones have ended", s.Members...)
	m := s.but(leader)[0]
	s.must(m.Kill())
	s.must(m.Start())
	s.agree("one was started anew", s.Members...)
	s.must(m.certifyFor(m.ID, time.Hour)) // a third of it is not over: nothing happens by itself
	before, err := m.certificateLeft()
	s.must(err)
	if _, err := m.Evenkeel(s.Context(), "certs", "renew", "--config", m.config()); err != nil {
		s.Error(err)
	}
	if left, err := m.certificateLeft(); err != nil || left <= before {
		s.Errorf("by hand: %v left, %v; it was %v", left, err, before)
	}
	s.ack("renewed by hand", m)
}

// certificateLeft is for how long a member's certificate is valid, by its file.
func (m *Member) certificateLeft() (time.Duration, error) {
	tls := func(name string) string { return filepath.Join(m.dir, "tls", name) }
	material, err := certs.LoadTLS(tls("ca.pem"), tls("host.pem"), tls("host.key"))
	if err != nil {
		return 0, err
	}
	if material.Identity().MemberID != m.ID {
		return 0, errors.New("it is another member's")
	}
	return time.Until(material.NotAfter()), nil
}
