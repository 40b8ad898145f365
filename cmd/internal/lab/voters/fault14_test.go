package voters

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// Case 14: two members with one cluster's certificates were each told to found
// it. Shown to each other later, they do not merge: neither takes the other's
// log, and each goes on with its own State.
func TestFault14TwoBootstraps(t *testing.T) {
	s := prepare(t, Plain, Plain)
	a, b := s.Members[0], s.Members[1]
	for _, m := range s.Members {
		s.must(m.Configure([]string{net.JoinHostPort(m.Address, clusterPort)}, 1))
		s.must(m.Start())
	}
	s.ack("founded", a)
	inA := s.acked
	s.ack("founded", b)
	inB := s.acked
	both := []string{net.JoinHostPort(a.Address, clusterPort), net.JoinHostPort(b.Address, clusterPort)}
	for _, m := range s.Members {
		s.must(m.Stop())
		s.must(m.Configure(both, 0))
	}
	s.must(s.Start())
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		for m, want := range map[*Member]int{a: inA, b: inB} {
			st, err := m.Status(s.Context())
			if err != nil {
				continue // not up yet
			}
			if n := number(st); n != want && st.Index > 0 {
				s.Fatalf("%s shows command %d, its own cluster's was %d: they have merged", m.Name, n, want)
			}
		}
	}
	for m, want := range map[*Member]int{a: inA, b: inB} {
		s.until(m.Name+" goes on alone", func(ctx context.Context) error {
			st, err := m.Status(ctx)
			if err != nil {
				return err
			}
			if st.Stale != nil || number(st) != want || st.Leader == nil || st.Leader.Name != m.Name {
				return fmt.Errorf("stale %v, leader %v, command %d", st.Stale, st.Leader, number(st))
			}
			p, err := s.peer(ctx, m, m)
			if err == nil && len(p.Voters) != 1 {
				err = fmt.Errorf("its voters are %v", p.Voters)
			}
			return err
		})
	}
}
