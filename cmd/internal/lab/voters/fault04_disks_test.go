package voters

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Case 4: the leader's disk hangs. It must cut itself off, or it would reign on
// by heartbeats that need no disk.
func TestFault04LeadersDiskFrozen(t *testing.T) {
	s := start(t, Ext4, Ext4, Ext4)
	old := s.agree("before", s.Members...)
	s.must(old.Freeze())
	s.goesOn("frozen", old)
	s.unfit("frozen", old)
	s.must(old.Thaw())
	s.agree("thawed", s.Members...)
	s.ack("thawed", old)
	s.agree("thawed", s.Members...)
}

// unfit waits until a member says of itself that its disk does not do.
func (s *trial) unfit(stage string, m *Member) {
	s.Helper()
	s.until(stage+": "+m.Name+" says that it is unfit", func(ctx context.Context) error {
		p, err := s.peer(ctx, m, m)
		if err == nil && !p.Unfit {
			err = fmt.Errorf("it says %q of itself, part %s", p.Message, p.Part)
		}
		if err == nil {
			s.Logf("%s: %s says: %s", stage, m.Name, p.Message)
		}
		return err
	})
}

// small is a disk that is soon filled.
var small = Tmpfs(48 << 20)

// Case 5: the leader's disk is full.
func TestFault05LeadersDiskFull(t *testing.T) {
	s := start(t, small, small, small)
	old := s.agree("before", s.Members...)
	s.must(old.Fill())
	s.until("full: another one leads", func(ctx context.Context) error {
		// The log has free pages for a while: commands use them up.
		_, err := s.tell(ctx, s.but(old)[0])
		st, again := s.but(old)[0].Status(ctx)
		if again != nil {
			return again
		}
		if st.Leader == nil || st.Leader.Name == old.Name || err != nil {
			return fmt.Errorf("leader %v, %w", st.Leader, err)
		}
		return nil
	})
	s.goesOn("full", old)
	s.alive("full")
	s.must(old.Empty())
	s.ack("room again", old)
	s.agree("room again", s.Members...)
}

// alive asks that no daemon has ended.
func (s *trial) alive(stage string) {
	s.Helper()
	for _, m := range s.Members {
		if !m.Alive() {
			s.Errorf("%s: evenkeeld of %s has ended", stage, m.Name)
		}
	}
}

// Case 6: both followers' disks are full. Nobody could do better than the
// leader, but nothing is acknowledged and nothing is called fresh that is not.
func TestFault06BothFollowersFull(t *testing.T) {
	s := start(t, small, small, small)
	old := s.agree("before", s.Members...)
	for _, m := range s.but(old) {
		s.must(m.Fill())
	}
	s.exhaust("full", old)
	s.until("full: it is said", func(ctx context.Context) error {
		said, st := 0, ""
		for _, m := range s.Members {
			p, err := s.peer(ctx, m, m)
			if err != nil {
				return err
			}
			st += fmt.Sprintf("%s: %s, %q; ", m.Name, p.Part, p.Message)
			if p.Unfit || p.StalledSeconds > 0 {
				said++
			}
		}
		s.Log("full: ", st)
		if said == 0 {
			return fmt.Errorf("nobody complains: %s", st)
		}
		return nil
	})
	s.alive("full")
	for _, m := range s.but(old) {
		s.must(m.Empty())
	}
	s.ack("room again", old)
	s.agree("room again", s.Members...)
}

// exhaust sends commands until none is acknowledged any more: a log has free
// pages for a while.
func (s *trial) exhaust(stage string, through *Member) {
	s.Helper()
	s.until(stage+": nothing is acknowledged", func(ctx context.Context) error {
		n, err := s.tell(ctx, through)
		if err != nil {
			return nil
		}
		s.acked = n
		return fmt.Errorf("command %d was", n)
	})
}

// Case 7: a disk is full while a vote must be stored on it. No daemon may end,
// and nobody may lead by a vote that is not on a disk.
func TestFault07DiskFullDuringElection(t *testing.T) {
	s := start(t, small, small, small)
	old := s.agree("before", s.Members...)
	for _, m := range s.but(old) {
		s.must(m.Fill())
	}
	s.must(old.Kill())
	s.exhaust("full", s.but(old)[0])
	for _, m := range s.but(old) {
		s.readOnly("full", m)
	}
	s.until("full: a disk has refused", func(ctx context.Context) error {
		for _, m := range s.but(old) {
			if p, err := s.peer(ctx, m, m); err != nil || p.Unfit {
				return err
			}
		}
		return errors.New("nobody says so")
	})
	time.Sleep(5 * time.Second) // several timers of elections
	for _, m := range s.but(old) {
		// A page may have become free: what is acknowledged then has to stay.
		if n, err := s.tell(s.Context(), m); err == nil {
			s.acked = n
		}
		if !m.Alive() {
			s.Errorf("evenkeeld of %s has ended", m.Name)
		}
	}
	for _, m := range s.but(old) {
		s.must(m.Empty())
	}
	s.goesOn("room again", old)
	s.must(old.Start())
	s.agree("all back", s.Members...)
}
