package consensus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// poke keeps proposing, so that the disk has something to do, until ctx ends.
func (w *world) poke(ctx context.Context, h *host) {
	node := h.node
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = node.Propose(try, cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
		cancel()
		time.Sleep(100 * time.Millisecond)
	}
}

// Case 4: the leader's disk freezes. It hangs in an append while its heartbeats
// go on; the others must have a leader within 5 s all the same, and what the
// frozen one was asked is unknown, not done.
func TestFault04LeaderDiskFrozen(t *testing.T) {
	for seed := range 10 {
		t.Run(fmt.Sprint("run ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, 3)
				w.startAll()
				defer w.closeAll()
				w.agree()
				old := w.leader()
				time.Sleep(time.Duration(seed) * 137 * time.Millisecond) // another phase of the heartbeats
				old.disk.freeze()
				frozen := time.Now()
				ctx, stop := context.WithCancel(t.Context())
				var clients sync.WaitGroup
				clients.Go(func() { w.poke(ctx, old) })
				for w.leader() == old && time.Since(frozen) < time.Minute {
					time.Sleep(50 * time.Millisecond)
				}
				if took := time.Since(frozen); took > 5*time.Second {
					t.Errorf("a new leader after %v", took)
				}
				if h := old.node.Health(); !strings.Contains(h.Unfit, "has not answered for") || h.Healthy() {
					t.Errorf("health of the frozen member: %+v", h)
				}
				w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeRecommend}})
				stop()
				clients.Wait()
				old.disk.thaw()
				w.settle()
				if h := old.node.Health(); h.Unfit != "" || h.Part != "follower" {
					t.Errorf("health after the thaw: %+v", h)
				}
				if s, _ := old.node.State(); s.Mode != cluster.ModeRecommend {
					t.Errorf("mode %s: what the frozen leader was asked was done after all", s.Mode)
				}
			})
		})
	}
}

// A disk that hangs for a moment costs no leadership; one that hangs for longer
// does, also if nobody can take it over: then it comes back by itself.
func TestLeaderResumesAfterStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.startAll()
		defer w.closeAll()
		l := w.leader()
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		clients.Go(func() { w.poke(ctx, l) })
		stall := func(d time.Duration) {
			l.disk.freeze()
			time.Sleep(d)
		}
		stall(time.Second)
		if _, ok := l.node.Leading(); !ok {
			t.Error("a second's stall cost the leadership")
		}
		l.disk.thaw()
		time.Sleep(time.Second)
		stall(3 * time.Second)
		if _, ok := l.node.Leading(); ok {
			t.Error("it leads with a disk that has hung for 3 s")
		}
		l.disk.thaw()
		w.leader()
		stop()
		clients.Wait()
	})
}

// Case 5: the leader's disk is full: another one leads.
func TestFault05LeaderDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		old := w.leader()
		old.disk.fill(true)
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		clients.Go(func() { w.poke(ctx, old) })
		time.Sleep(10 * time.Second)
		next := w.leader()
		if next == old {
			t.Error("the member with the full disk leads")
		}
		stop()
		clients.Wait()
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeRecommend}})
		if h := old.node.Health(); !strings.Contains(h.Unfit, "no space left") {
			t.Errorf("health of the full member: %+v", h)
		}
		old.disk.fill(false)
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
		w.settle()
	})
}

// Case 6: both followers' disks are full. Nothing can be committed: the leader
// says so, promises nothing, and goes on when there is room.
func TestFault06FollowersDisksFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		l := w.leader()
		for _, h := range w.hosts {
			h.disk.fill(h != l)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		_, err := l.node.Propose(ctx, cluster.Command{ID: "c1", Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("propose: %v, want ErrUnknownOutcome", err)
		}
		if h := l.node.Health(); h.Part == "leader" && h.Stalled < 5*time.Second {
			t.Errorf("health of the leader whose followers are full: %+v", h)
		}
		for _, h := range w.hosts {
			h.disk.fill(false)
		}
		w.must(cluster.Command{ID: "c1", Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
		w.settle()
		if h := w.leader().node.Health(); h.Stalled != 0 {
			t.Errorf("stalled for %v after there was room", h.Stalled)
		}
	})
}

// Case 7: the disk is full in the middle of an election. The library would
// panic when it cannot store the term; the process must stay up and vote when
// there is room.
func TestFault07DiskFullInElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		old := w.leader()
		for _, h := range w.hosts {
			h.disk.fill(h != old)
		}
		old.kill()
		time.Sleep(20 * time.Second)
		unfit := 0
		for _, h := range w.running() {
			if _, ok := h.node.Leading(); ok {
				t.Errorf("%s leads and cannot store its term", h.id)
			}
			if strings.Contains(h.node.Health().Unfit, "no space left") || strings.Contains(h.node.Health().Unfit, "has not answered") {
				unfit++
			}
		}
		if unfit == 0 {
			t.Error("no member says that its disk is full")
		}
		for _, h := range w.hosts {
			h.disk.fill(false)
		}
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
		old.start()
		w.settle()
	})
}
