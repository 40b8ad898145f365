package voters

import (
	"context"
	"fmt"
	"net"
	"testing"
)

// Case 13: a member comes back under another address, first a follower, then
// the leader. The others learn it, and it keeps its vote.
func TestFault13AddressChanged(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	leader := s.agree("before", s.Members...)
	s.moves(s.but(leader)[0], address(101))
	s.moves(s.agree("in between", s.Members...), address(102))
}

func (s *trial) moves(m *Member, to string) {
	s.Helper()
	stage := m.Name + " moves to " + to
	s.must(m.Stop())
	s.ack(stage, s.but(m)[0])
	var peers []string
	for _, o := range s.Members { // the moved one's configuration names itself as it was: it grows old
		peers = append(peers, net.JoinHostPort(o.Address, clusterPort))
	}
	s.must(m.Move(to, peers, len(s.Members)))
	s.must(m.Start())
	s.until(stage+": the others know it", func(ctx context.Context) error {
		for _, at := range s.Members {
			p, err := s.peer(ctx, at, m)
			if err != nil {
				return err
			}
			if p.Address != net.JoinHostPort(to, clusterPort) || !p.Answers || !p.Voter {
				return fmt.Errorf("%s says that it is at %s, answers %v, votes %v", at.Name, p.Address, p.Answers, p.Voter)
			}
		}
		return nil
	})
	s.agree(stage, s.Members...)
	// Its vote counts at the new place: with one of the other two gone, it is needed.
	other := s.but(m)[0]
	s.must(other.Kill())
	s.ack(stage+", without "+other.Name, m)
	s.agree(stage, s.but(other)...)
	s.must(other.Start())
	s.agree(stage+", all back", s.Members...)
}
