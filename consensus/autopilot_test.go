package consensus

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// announce tells the State of a host, as its agent would.
func (h *host) announce(zone string, role cluster.Role) {
	m := cluster.Member{ID: h.id, Name: "hv" + h.id[len(h.id)-2:], Role: role, Incarnation: 1, Level: 1, Disk: h.made, Address: h.addr, Zone: zone, CPUs: 4000, Memory: 8 * cluster.GiB}
	h.world.must(cluster.Command{
		Actor: cluster.Actor{Kind: cluster.KindAgent, ID: h.id}, Body: cluster.Announce{Cluster: testCluster, Member: m},
	})
}

// newGroup starts founders and others, all announced.
func newGroup(t *testing.T, members, founders int) *world {
	w := newWorld(t, members, founders)
	w.startAll()
	w.agree()
	for _, h := range w.hosts {
		h.announce("", cluster.RoleHypervisor)
	}
	return w
}

// voting are the hosts that vote by the leader's configuration, sorted.
func (w *world) voting() (out []string) {
	for _, v := range w.leader().node.voters() {
		out = append(out, v.Member)
	}
	slices.Sort(out)
	return out
}

// becomes waits until the group is as described.
func (w *world) becomes(what string, is func(voters, nonvoters []string) bool) {
	w.t.Helper()
	var voters, others []string
	for range 600 {
		voters, others = nil, nil
		servers := w.leader().node.seats()
		for _, s := range servers {
			if s.votes {
				voters = append(voters, s.Member)
			} else {
				others = append(others, s.Member)
			}
		}
		if slices.Sort(voters); is(voters, others) {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("never %s within ten minutes: voters %v, nonvoters %v", what, voters, others)
}

// guard holds the group to its laws until the test ends: never more than five
// seats, and never fewer voters than the given number.
func (w *world) guard(least int) (release func()) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, h := range w.running() {
				w.mu.Lock()
				node := h.node
				w.mu.Unlock()
				if node == nil {
					continue
				}
				if _, leads := node.Leading(); !leads {
					continue
				}
				servers := node.seats()
				if n := len(servers.voters()); n < least || len(servers) > MaxVoters {
					w.t.Errorf("%d voters of %d seats; at least %d voters, at most %d seats", n, len(servers), least, MaxVoters)
				}
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	return func() { stop(); <-done }
}

func votersAre(n int) func(voters, nonvoters []string) bool {
	return func(voters, nonvoters []string) bool { return len(voters) == n && len(nonvoters) == 0 }
}

// A cluster of one grows: two members are one voter and a replica, three are
// three voters, five are five, and no more whatever comes.
func TestGroupGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1)
		defer w.closeAll()
		w.hosts[0].start()
		w.agree()
		w.hosts[0].announce("", cluster.RoleHypervisor)
		defer w.guard(1)()
		for _, step := range []struct{ members, voters, nonvoters int }{{2, 1, 1}, {3, 3, 0}, {4, 3, 0}, {5, 5, 0}, {7, 5, 0}} {
			for len(w.hosts) < step.members {
				h := w.add()
				h.start()
				h.announce("", cluster.RoleHypervisor)
			}
			w.becomes(fmt.Sprintf("%d voters and %d replicas of %d members", step.voters, step.nonvoters, step.members), func(v, o []string) bool {
				return len(v) == step.voters && len(o) == step.nonvoters
			})
		}
		time.Sleep(10 * time.Minute)
		if v := w.voting(); len(v) != 5 {
			t.Errorf("voters after ten quiet minutes: %v", v)
		}
	})
}

// The leader knows of each other member with a seat how far it is behind and for
// how long it has been without it; nobody else claims to.
func TestFollowersAsTheLeaderSeesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 3, 3)
		defer w.closeAll()
		w.becomes("three voters", votersAre(3))
		time.Sleep(10 * time.Second)
		leader := w.leader()
		others := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == leader })
		for _, f := range leader.node.Health().Followers {
			if f.Member == leader.id || f.Contact > contactLimit || f.Behind != 0 {
				t.Errorf("all is well: %+v", f)
			}
		}
		for _, o := range others {
			if got := o.node.Health().Followers; len(got) != 0 {
				t.Errorf("follower %s knows %+v", o.id, got)
			}
		}
		gone := others[0]
		gone.isolate(true)
		defer gone.isolate(false)
		time.Sleep(20 * time.Second)
		seen := leader.node.Health().Followers
		if len(seen) != 2 {
			t.Fatalf("followers %+v", seen)
		}
		for _, f := range seen {
			if away := f.Member == gone.id; away != (f.Contact > 10*time.Second) {
				t.Errorf("one of them is gone for 20 s: %+v", f)
			}
		}
	})
}

// A dead voter's place goes to a member that was an agent; when the dead one
// comes back it is an agent, and reads through the leader.
func TestDeadVoterIsReplaced(t *testing.T) {
	for _, size := range []struct{ members, voters int }{{4, 3}, {7, 5}} {
		t.Run(fmt.Sprint(size.members), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newGroup(t, size.members, size.voters)
				defer w.closeAll()
				w.becomes("settled", votersAre(size.voters))
				least := 3
				defer w.guard(least)()
				var dead *host
				leader := w.leader()
				for _, h := range w.hosts {
					if h != leader && slices.Contains(w.voting(), h.id) {
						dead = h
						break
					}
				}
				before := w.voting()
				dead.kill()
				time.Sleep(30 * time.Second)
				if now := w.voting(); !slices.Equal(now, before) {
					t.Errorf("after half a minute of silence the voters are %v", now)
				}
				seated := before
				w.becomes("without the dead one", func(v, o []string) bool {
					now := slices.Concat(v, o)
					for _, id := range seated {
						if id != dead.id && !slices.Contains(now, id) {
							t.Errorf("%s, which answers, lost its seat", id)
						}
					}
					seated = now
					return len(v) == size.voters && len(o) == 0 && !slices.Contains(v, dead.id)
				})
				w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
				dead.start()
				time.Sleep(time.Minute)
				if h := dead.node.Health(); h.Part == "leader" || slices.Contains(w.voting(), dead.id) || h.Leader != w.leader().id {
					t.Errorf("the dead one is back as %+v", h)
				}
				for _, h := range w.hosts { // each was told, or applied it
					if slices.Contains(w.voting(), h.id) {
						if s, _ := h.node.State(); s.Mode != cluster.ModeAuto {
							t.Errorf("voter %s missed a command", h.id)
						}
					}
				}
			})
		})
	}
}

// With nobody to take its place, a single dead voter keeps its seat: without
// it the group would bear no more losses than with it. Two dead of five are
// taken out, so that the three that are left bear one.
func TestDeadVotersWithoutSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 3, 3)
		defer w.closeAll()
		w.becomes("settled", votersAre(3))
		defer w.guard(3)()
		others := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == w.leader() })
		others[0].kill()
		time.Sleep(10 * time.Minute)
		if v := w.voting(); len(v) != 3 {
			t.Errorf("voters %v", v)
		}
		others[0].start()
		w.settle()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 5, 5)
		defer w.closeAll()
		w.becomes("settled", votersAre(5))
		defer w.guard(3)()
		others := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == w.leader() })
		others[0].kill()
		others[1].kill()
		w.becomes("three", votersAre(3))
		others[2].kill() // the one loss that they bear
		w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
		for _, h := range others[:3] {
			h.start()
		}
		w.becomes("five again", votersAre(5))
		w.settle()
	})
}

// A member that is known and was never reached gets no seat, is asked once a
// minute, and holds nothing up.
func TestUnreachableMemberGetsNoSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGroup(t, 2, 1)
		defer w.closeAll()
		never := w.add()
		never.announce("", cluster.RoleHypervisor)
		w.becomes("one voter and a replica", func(v, o []string) bool { return len(v) == 1 && len(o) == 1 })
		time.Sleep(10 * time.Minute)
		w.mu.Lock()
		asked := never.asked
		w.mu.Unlock()
		if asked < 5 || asked > 15 {
			t.Errorf("asked %d times in ten minutes", asked)
		}
		never.start()
		w.becomes("three voters", votersAre(3))
	})
}

// Voters are spread over zones, and a witness votes before a hypervisor.
func TestVotersBySpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		w.agree()
		for _, h := range w.hosts {
			h.announce("room-a", cluster.RoleHypervisor)
		}
		defer w.guard(3)()
		for _, zone := range []string{"room-b", "room-c"} {
			h := w.add()
			h.start()
			h.announce(zone, cluster.RoleHypervisor)
		}
		w.must(cluster.Command{Actor: operator, Body: cluster.SetSettings{Settings: func() cluster.Settings { s := cluster.DefaultSettings(); s.Voters = 3; return s }()}})
		b, c := w.hosts[3].id, w.hosts[4].id
		w.becomes("one voter a room", func(v, o []string) bool {
			return len(v) == 3 && len(o) == 0 && slices.Contains(v, b) && slices.Contains(v, c)
		})
		witness := w.add()
		witness.start()
		witness.announce("room-c", cluster.RoleWitness)
		w.becomes("the witness of room-c", func(v, o []string) bool {
			return len(v) == 3 && len(o) == 0 && slices.Contains(v, witness.id) && slices.Contains(v, b) && !slices.Contains(v, c)
		})
	})
}

// The leader is lost at any moment of a promotion: the next one goes on, and
// the laws hold throughout.
func TestLeaderLostDuringPromotion(t *testing.T) {
	for after := 1; after <= 30; after += 2 {
		synctest.Test(t, func(t *testing.T) {
			w := newGroup(t, 4, 3)
			defer w.closeAll()
			w.becomes("settled", votersAre(3))
			defer w.guard(3)()
			victim := w.hosts[slices.IndexFunc(w.hosts, func(h *host) bool { return h != w.leader() && slices.Contains(w.voting(), h.id) })]
			victim.kill()
			time.Sleep(55*time.Second + time.Duration(after)*time.Second)
			lost := w.leader()
			lost.isolate(true)
			if len(w.besides(lost)) < 2 {
				lost.isolate(false) // the other two were one voter and an agent: no majority without it
			}
			time.Sleep(20 * time.Second)
			lost.isolate(false)
			w.becomes("whole again", func(v, o []string) bool { return len(v) == 3 && len(o) == 0 && !slices.Contains(v, victim.id) })
			victim.start()
			w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
		})
	}
}

// besides are the running voters beside one.
func (w *world) besides(but *host) (out []string) {
	for _, h := range w.running() {
		if h != but && slices.ContainsFunc(but.node.voters(), func(v Voter) bool { return v.Member == h.id }) {
			out = append(out, h.id)
		}
	}
	return out
}

// The choice is the same whatever order the members come in, odd, and spread.
func TestElectorate(t *testing.T) {
	all := []candidate{
		{member: "a", zone: "1", leads: true, votes: true, seated: true},
		{member: "b", zone: "1", votes: true, seated: true},
		{member: "c", zone: "2", lost: true, votes: true, seated: true},
		{member: "d", zone: "2"},
		{member: "e", zone: "3", witness: true},
		{member: "f"},
	}
	for name, c := range map[string]struct {
		from   []candidate
		size   int
		want   []string
		voters int
	}{
		"three of six":      {all, 3, []string{"a", "e", "d"}, 3},
		"five of six":       {all, 5, []string{"a", "e", "d", "f", "b"}, 5},
		"all, the lost too": {all, 6, []string{"a", "e", "d", "f", "b", "c"}, 5},
		"two":               {all[:2], 2, []string{"a", "b"}, 1},
		"one":               {all[:1], 3, []string{"a"}, 1},
		"none":              {nil, 3, nil, 0},
	} {
		for turn := range len(c.from) + 1 {
			from := slices.Concat(c.from[turn%max(len(c.from), 1):], c.from[:turn%max(len(c.from), 1)])
			if got := electorate(from, c.size); !slices.Equal(got.members, c.want) || got.voters != c.voters {
				t.Errorf("%s: %v, %d voting; want %v, %d", name, got.members, got.voters, c.want, c.voters)
			}
		}
	}
}

// One step never leaves the healthy voters without a majority, never takes the
// leader's vote, and never makes more than five.
func TestReseatLaws(t *testing.T) {
	now := time.Unix(1e6, 0)
	ids := []string{"a", "b", "c", "d", "e", "f"}
	const kinds = 6 // absent, voter well, voter ill, nonvoter stable, nonvoter new, nonvoter ill
	seen := 0
	for code := range kinds * kinds * kinds * kinds * kinds * kinds {
		s := &autopilot.State{Servers: make(map[raft.ServerID]*autopilot.ServerState), Leader: "a"}
		voting, healthy := 0, 0
		for i, rest := 0, code; i < len(ids); i, rest = i+1, rest/kinds {
			kind := rest % kinds
			if kind == 0 {
				continue
			}
			server := &autopilot.ServerState{State: autopilot.RaftNonVoter}
			server.Health = autopilot.ServerHealth{Healthy: kind != 2 && kind != 5, StableSince: now.Add(-time.Hour)}
			if kind == 4 {
				server.Health.StableSince = now
			}
			if kind <= 2 {
				server.State = autopilot.RaftVoter
				voting++
				if kind == 1 {
					healthy++
				}
			}
			s.Servers[raft.ServerID(ids[i])] = server
		}
		if l, ok := s.Servers["a"]; !ok || l.State != autopilot.RaftVoter || !l.Health.Healthy || len(s.Servers) > MaxVoters || healthy < voting/2+1 {
			continue
		}
		s.Servers["a"].State = autopilot.RaftLeader
		for _, want := range []seating{{[]string{"a", "b", "c"}, 3}, {[]string{"a", "d", "e"}, 3}, {[]string{"a", "c", "d", "e", "f"}, 5}, {[]string{"a", "b"}, 1}} {
			seen++
			out := reseat(now, 10*time.Second, s, want)
			after, well := voting+len(out.Promotions), healthy+len(out.Promotions)
			for _, id := range out.Demotions {
				after--
				if s.Servers[id].Health.Healthy {
					well--
				}
				if id == "a" || slices.Contains(want.voting(), string(id)) {
					t.Fatalf("%06d: %v loses its vote", code, id)
				}
			}
			if after > MaxVoters || well < after/2+1 {
				t.Fatalf("%06d, wanted %v: %+v leaves %d voters, %d of them well", code, want, out, after, well)
			}
			for _, id := range out.Promotions {
				if h := s.Servers[id].Health; !h.IsStable(now, 10*time.Second) || !slices.Contains(want.voting(), string(id)) {
					t.Fatalf("%06d: %v gets a vote", code, id)
				}
			}
		}
	}
	if seen < 1000 {
		t.Fatalf("only %d cases", seen)
	}
}
