package worlds

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Cases of the numbered list of faults that need the whole fleet. In all of
// them the laws of the worlds hold too.

// calm runs a scene in a fleet without random faults. Host 3 suffers, so that
// an order comes soon; migrations take their time and succeed.
func calm(t *testing.T, scene func(t *testing.T, f *fleet)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		f.wild = false
		f.truth.fixed = &fate{name: "moves", takes: 5 * time.Second, moves: true}
		f.truth.crowd(3)
		defer f.close()
		f.start()
		scene(t, f)
	})
}

// await waits for a move in one of some states.
func (f *fleet) await(states ...cluster.MoveState) cluster.Move {
	f.t.Helper()
	for range 3000 {
		for _, m := range f.moves() {
			if slices.Contains(states, m.State) {
				return m
			}
		}
		f.sleep(100 * time.Millisecond)
	}
	f.t.Fatalf("no move is %v within five minutes: %+v", states, f.moves())
	return cluster.Move{}
}

// moves are all, newest first.
func (f *fleet) moves() (out []cluster.Move) {
	f.laws.mu.Lock()
	defer f.laws.mu.Unlock()
	for _, m := range f.laws.newest.MovesBackward() {
		out = append(out, m)
	}
	return out
}

// ends waits until a move has ended, as it should, after so many executions.
func (f *fleet) ends(id string, as cluster.MoveState, calls int) cluster.Move {
	f.t.Helper()
	for range 3000 {
		for _, m := range f.moves() {
			if m.ID != id || m.State.Live() {
				continue
			}
			if n := f.truth.called(id); m.State != as || n != calls {
				f.t.Errorf("%s ended %s (%s) after %d executions, want %s after %d", id, m.State, m.Why, n, as, calls)
			}
			return m
		}
		f.sleep(100 * time.Millisecond)
	}
	f.t.Fatalf("%s has not ended within five minutes", id)
	return cluster.Move{}
}

// entered is the term of the first entry of a kind that was taken after an
// index, 0 if there is none.
func (l *laws) entered(kind string, after uint64) (term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := uint64(0)
	for i, e := range l.entries {
		if e.kind == kind && e.refused == "" && i > after && (at == 0 || i < at) {
			at, term = i, e.term
		}
	}
	return term
}

// dies kills the leader for a while, and says which it was.
func (f *fleet) dies() (restart func()) {
	f.t.Helper()
	old := f.leader()
	old.kill()
	if next := f.leader(); next == nil || next == old {
		f.t.Fatal("nobody leads after the leader was killed")
	}
	return old.start
}

func TestFault01LeaderKilledBetweenOrderAndClaim(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		release := f.hold("reserve")
		m := f.await(cluster.MoveOrdered)
		restart := f.dies()
		release()
		f.ends(m.ID, cluster.MoveDone, 1)
		if term := f.laws.entered("claim", m.Index); term <= m.Term {
			t.Errorf("claimed in term %d, ordered in %d: the leader was not lost in between", term, m.Term)
		}
		restart()
		f.rest()
	})
}

func TestFault02LeaderKilledBetweenClaimAndPerform(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		release := f.hold("start")
		m := f.await(cluster.MoveClaimed)
		restart := f.dies()
		if n := f.truth.called(m.ID); n != 0 {
			t.Errorf("%d executions before the start was committed", n)
		}
		release()
		f.ends(m.ID, cluster.MoveDone, 1)
		if term := f.laws.entered("start", m.Index); term <= m.Term {
			t.Errorf("started in term %d, ordered in %d: the leader was not lost in between", term, m.Term)
		}
		restart()
		f.rest()
	})
}

func TestFault03LeaderCutOffAndStillProposing(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		f.await(cluster.MoveDone)
		old := f.leader()
		before := f.laws.acknowledgements()
		f.isolate(old.i, +1)
		cut := time.Now()
		for time.Since(cut) < 10*time.Second { // as fast as it can
			ctx, cancel := context.WithTimeout(f.ctx, time.Second)
			_, err := old.running().propose(ctx, cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}})
			cancel()
			if err == nil {
				t.Error("a leader without a majority acknowledged")
			}
			f.sleep(50 * time.Millisecond)
		}
		if next := f.leader(); next == nil || next == old {
			t.Error("nobody else leads")
		}
		if f.laws.acknowledgements() == before {
			t.Error("the majority acknowledged nothing meanwhile")
		}
		f.isolate(old.i, -1)
		if s := f.state(); s.Mode != cluster.ModeAuto {
			t.Errorf("mode %s: what the old leader was asked was done after all", s.Mode)
		}
		f.rest()
	})
}

func TestFault09FollowerFarBehind(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		follower := f.follower()
		follower.kill()
		seen := f.laws.count(follower.i)
		load, stop := context.WithCancel(f.ctx)
		f.own.Go(func() {
			for load.Err() == nil {
				_ = f.propose(cluster.Resume{}, time.Second)
				f.sleep(30 * time.Millisecond)
			}
		})
		// The library snapshots every two to four minutes, 1,024 entries apart, and
		// keeps 512.
		f.sleep(10 * time.Minute)
		follower.start()
		f.sleep(30 * time.Second)
		stop()
		leads, _ := f.leader().running().node.State()
		got, _ := follower.running().node.State()
		if leads.Index-got.Index > 100 {
			t.Errorf("half a minute after its return the follower is at %d, the leader at %d", got.Index, leads.Index)
		}
		if applied := f.laws.count(follower.i) - seen; uint64(applied) > got.Index/2 {
			t.Errorf("it applied %d of %d entries itself: no snapshot was installed", applied, got.Index)
		}
		f.rest()
	})
}

func (f *fleet) follower() *daemon {
	l := f.leader()
	for _, m := range f.members {
		if m != l {
			return m
		}
	}
	return nil
}

// A host's image was copied, id and journal and all, and both run. Whichever
// of them is heard, nothing is executed twice, and once the copy is gone
// everything is as it should.
func TestFault12OneIDOnTwoMachines(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		f.await(cluster.MoveDone)
		host := f.daemons[3]
		twin := f.twinOf(host)
		twin.start()
		for range 10 {
			f.sleep(time.Minute)
			f.truth.stir()
		}
		twin.stop()
		host.stop()
		host.start()
		f.rest()
		if f.counted("refused STALE_SEQUENCE")+f.counted("refused STALE_INCARNATION")+f.counted("refused WRONG_STATE")+int(f.state().Rejected) == 0 {
			t.Error("nothing was refused: the twins never met")
		}
	})
}

func TestFault13AddressChanged(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		for _, who := range []*daemon{f.follower(), f.leader()} {
			who.kill()
			f.sleep(10 * time.Second) // as long as a host takes to come back with another address
			who.move("10.9.0." + who.at()[len("10.0.0."):])
			who.start()
			moved := func() bool {
				return slices.Contains(f.leader().running().node.Health().Voters, consensus.Voter{Member: who.id, Address: who.at()})
			}
			for range 600 {
				if moved() {
					break
				}
				f.sleep(100 * time.Millisecond)
			}
			if !moved() {
				t.Errorf("%s is not known at %s after a minute", who.name, who.at())
			}
			f.must(cluster.Resume{})
		}
		f.await(cluster.MoveDone)
		f.rest()
	})
}

// A leader whose clock is an hour off orders nothing, what is in flight ends,
// and nothing of it stays once State's time is the hosts' again.
func TestFault16ClockSteps(t *testing.T) {
	for name, step := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			calm(t, func(t *testing.T, f *fleet) {
				m := f.await(cluster.MoveRunning)
				off := f.leader()
				off.clock.off.Add(int64(step))
				f.ends(m.ID, cluster.MoveDone, 1)
				f.must(cluster.Resume{}) // so that its time is the State's, if it is ahead
				f.sleep(10 * time.Second)
				before := f.counted("order")
				for range 20 {
					f.sleep(15 * time.Second)
					f.truth.crowdLive()
				}
				if n := f.counted("order") - before; n != 0 {
					t.Errorf("%d orders by a clock that is %v off", n, step)
				}
				off.clock.off.Add(int64(-step))
				for catch := 0 * time.Minute; catch < step+15*time.Minute || catch < 15*time.Minute; catch += 5 * time.Minute {
					f.sleep(5 * time.Minute)
					f.truth.crowdLive()
				}
				if f.counted("order") == before {
					t.Error("nothing was ordered after the clock was right again")
				}
				f.rest()
			})
		})
	}
}

// The source's host is suspended between its claim and its start. When it
// wakes, its start window has passed, by the clock that ran on.
func TestFault16SuspendedHost(t *testing.T) {
	calm(t, func(_ *testing.T, f *fleet) {
		release := f.hold("start")
		m := f.await(cluster.MoveClaimed)
		source := f.daemons[3]
		source.suspend()
		f.sleep(time.Minute)
		release()
		source.resume()
		f.ends(m.ID, cluster.MoveReleased, 0)
		f.rest()
	})
}

// The source's daemon stops while its migration runs, for so long that the
// outcome is called unknown. Its late word settles it.
func TestFault17AgentStoppedAndLate(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		m := f.await(cluster.MoveRunning)
		source := f.daemons[3]
		for !f.truth.started(m.ID) {
			f.sleep(10 * time.Millisecond)
		}
		source.freeze()
		f.sleep(time.Minute)
		if got := f.find(m.ID); got.State != cluster.MoveRunning || !f.truth.quiet() {
			t.Errorf("after a minute the move is %s, its migration over: %v", got.State, f.truth.quiet())
		}
		f.sleep(time.Minute)
		if got := f.find(m.ID); got.State != cluster.MoveUnknown {
			t.Errorf("after two minutes the move is %s", got.State)
		}
		source.resume()
		f.ends(m.ID, cluster.MoveDone, 1)
		f.rest()
	})
}

func (f *fleet) find(id string) cluster.Move {
	for _, m := range f.moves() {
		if m.ID == id {
			return m
		}
	}
	return cluster.Move{}
}

// A leader is so starved that its heartbeats slip. A little costs nothing; much
// costs it the lead, once, and not the cluster its peace.
func TestFault18StarvedLeader(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		f.await(cluster.MoveDone)
		starved := f.leader()
		led := f.counted("leader found")
		starved.mem.Lag(300 * time.Millisecond)
		f.sleep(2 * time.Minute)
		if n := f.counted("leader found") - led; n != 0 {
			t.Errorf("heartbeats that slip by 0.3 s cost %d changes of leader", n)
		}
		starved.mem.Lag(3 * time.Second)
		f.sleep(2 * time.Minute)
		if l := f.leader(); l == nil || l == starved {
			t.Error("heartbeats that slip by 3 s did not cost the lead")
		}
		if n := f.counted("leader found") - led; n > 3 {
			t.Errorf("%d changes of leader", n)
		}
		f.must(cluster.Resume{})
		starved.mem.Lag(0)
		f.rest()
	})
}

// Everything that was ever said of a move that is done is said again: in order,
// backwards, under its ids and under new ones, in a later term.
func TestFault19OrdersReplayed(t *testing.T) {
	calm(t, func(t *testing.T, f *fleet) {
		m := f.await(cluster.MoveDone)
		f.must(cluster.SetMode{Mode: cluster.ModeRecommend})
		f.sleep(30 * time.Second)
		said := f.laws.said()
		f.dies()()
		f.sleep(20 * time.Second)
		before := len(f.moves())
		taken := 0
		for _, again := range []bool{false, true} {
			for _, commands := range [][]cluster.Command{said, backwards(said)} {
				for _, c := range commands {
					if again {
						c.ID = f.nextID()
					}
					if err := f.repropose(c); err == nil {
						taken++
					} else if cluster.RefusalOf(err) == nil {
						t.Errorf("%s again: %v", c.Kind(), err)
					} else if !again {
						t.Errorf("%s under its own id: %v, it was taken before", c.Kind(), err)
					}
				}
			}
		}
		if n := f.truth.called(m.ID); n != 1 || len(f.moves()) != before {
			t.Errorf("after the replay: %d executions of %s, %d moves, there were %d", n, m.ID, len(f.moves()), before)
		}
		if len(said) < 5 || taken < 2*len(said) {
			t.Errorf("%d commands were replayed, %d taken", len(said), taken)
		}
		f.rest()
	})
}

func backwards(c []cluster.Command) []cluster.Command {
	c = slices.Clone(c)
	slices.Reverse(c)
	return c
}

// repropose sends a command as it is to whoever leads.
func (f *fleet) repropose(c cluster.Command) error {
	for range 100 {
		for _, m := range f.members {
			ctx, cancel := context.WithTimeout(f.ctx, 5*time.Second)
			_, err := m.running().propose(ctx, c)
			cancel()
			if err == nil || cluster.RefusalOf(err) != nil {
				return err
			}
		}
		f.sleep(100 * time.Millisecond)
	}
	return errors.New("nobody leads")
}

// An order that nobody claimed in time is dead: a claim that comes late is
// refused, and nothing is executed.
func TestFault19OrderExpired(t *testing.T) {
	calm(t, func(_ *testing.T, f *fleet) {
		release := f.hold("claim")
		m := f.await(cluster.MoveOrdered)
		f.ends(m.ID, cluster.MoveExpired, 0)
		release()
		f.sleep(time.Minute)
		f.ends(m.ID, cluster.MoveExpired, 0)
		f.rest()
	})
}
