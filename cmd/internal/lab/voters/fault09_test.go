package voters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// load has commands acknowledged through a member, many at once, until ctx
// ends or there were so many (0: no end); it returns how many.
func (s *trial) load(ctx context.Context, m *Member, most int64) int64 {
	s.Helper()
	c, err := api.Dial(api.Target{Socket: m.socket()})
	s.must(err)
	defer c.Close()
	var done atomic.Int64
	var work sync.WaitGroup
	for range 24 {
		work.Go(func() {
			for ctx.Err() == nil && (most == 0 || done.Load() < most) {
				asked, cancel := context.WithTimeout(ctx, 5*time.Second)
				_, err := c.SetMode(asked, api.ModeRequest{Mode: cluster.ModeOff, Act: api.Act{Reason: strings.Repeat("load ", 20)}})
				cancel()
				if err == nil {
					done.Add(1)
				}
			}
		})
	}
	work.Wait()
	return done.Load()
}

// Case 9: a follower was away for so long that the others have forgotten the
// entries that it lacks: it gets the whole State, while more commands keep
// coming. The leader makes a snapshot by itself after 1024 entries, when it
// looks, which is every two to four minutes; the case waits for that.
func TestFault09FollowerFarBehind(t *testing.T) {
	long(t)
	s := start(t, Plain, Plain, Plain)
	leader := s.agree("before", s.Members...)
	away := s.but(leader)[0]
	s.must(away.Stop())
	// More than are between snapshots and stay behind one, together.
	const entries = 2000
	if n := s.load(s.Context(), leader, entries); n < entries {
		s.Fatalf("only %d commands were acknowledged", n)
	}
	s.ack("after the load", leader)
	s.waitFor("a snapshot", 6*time.Minute, func() error {
		found, err := s.snapshots(leader)
		if err == nil && len(found) == 0 {
			err = errors.New("none yet")
		}
		return err
	})
	ctx, stop := context.WithCancel(s.Context())
	loaded := make(chan int64, 1)
	go func() { loaded <- s.load(ctx, leader, 0) }()
	s.must(away.Start())
	s.until("under load: it has caught up", func(ctx context.Context) error {
		p, err := s.peer(ctx, leader, away)
		if err == nil && (!p.Answers || p.Behind > 512 || p.AppliedIndex < entries) {
			err = fmt.Errorf("answers %v, behind %d, applied %d", p.Answers, p.Behind, p.AppliedIndex)
		}
		return err
	})
	stop()
	s.Logf("%d commands were acknowledged meanwhile", <-loaded)
	if found, err := s.snapshots(away); err != nil || len(found) == 0 {
		s.Errorf("no snapshot was installed: %v, %v", found, err)
	}
	if after := s.agree("caught up", s.Members...); after != leader {
		s.Errorf("%s leads, %s did: the return cost an election", after.Name, leader.Name)
	}
	s.ack("caught up", away)
}
