package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A member that has cut itself off answers when asked, but is no voter to
// count on; a leader that nobody follows on disk says so.
func TestQuorumWithUnfitMembers(t *testing.T) {
	peers := []Peer{{Name: "hv1", Voter: true}, {Name: "hv2", Voter: true}, {Name: "w1", Voter: true}}
	peers[0].tell(consensus.Health{Part: "leader", Unfit: "its disk has not answered for 2s"})
	peers[1].tell(consensus.Health{Part: "leader", Stalled: 9 * time.Second})
	var out Status
	out.Quorum = quorumOf(peers)
	if want := (Quorum{Voters: 3, Answering: 1, Needed: 2, Spare: -1}); out.Quorum != want {
		t.Errorf("quorum %+v, want %+v", out.Quorum, want)
	}
	out.warnQuorum(peers)
	var lines []string
	for _, w := range out.Warnings {
		lines = append(lines, w.Text)
	}
	want := []string{"1 of 3 voters answer, 2 are needed", "hv1: its disk has not answered for 2s", "hv2: no majority has stored its entries for 9s"}
	for i, w := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], w) {
			t.Errorf("warnings %q, want %q", lines, want)
			break
		}
	}
}

// crowd is a replica of a fleet of any size, of which three members vote.
type crowd struct {
	Replica
	state cluster.State
}

func crowdOf(t *testing.T, members int) (c crowd) {
	t.Helper()
	c.state = cluster.New("c0000000-0000-4000-8000-000000000000")
	for i := range members {
		id := fmt.Sprintf("a0000000-0000-4000-8000-%012d", i)
		var err error
		c.state, err = c.state.Apply(cluster.Meta{Index: uint64(i + 1), Term: 1}, cluster.Command{
			Level: 1, ID: id, Actor: cluster.Actor{Kind: cluster.KindWitness, ID: id}, At: cluster.Time(i + 1),
			Body: cluster.Announce{Cluster: c.state.Cluster, Member: cluster.Member{ID: id, Name: fmt.Sprint("w", i), Role: cluster.RoleWitness, Incarnation: 1, Level: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c crowd) Health() consensus.Health {
	var h consensus.Health
	for i := range 3 {
		h.Voters = append(h.Voters, consensus.Voter{Member: fmt.Sprintf("a0000000-0000-4000-8000-%012d", i)})
	}
	return h
}

// A status asks all members of a small fleet, and of a large one those that
// vote: a thousand calls for one line would be felt.
func TestStatusAsksFew(t *testing.T) {
	for members, want := range map[int]int{3: 3, maxStatusAsked: maxStatusAsked, maxStatusAsked + 1: 3, 200: 3} {
		c := crowdOf(t, members)
		s := &Server{cfg: Config{Replica: c, Now: time.Now}}
		few, err := s.status(t.Context(), view{state: c.state}, nil)
		if err != nil || few.Quorum.Voters != 3 {
			t.Fatalf("%d members: %+v, %v", members, few, err)
		}
		asked := 0
		for _, p := range s.statusPeers(t.Context(), view{state: c.state}) {
			if p.Message == "" {
				t.Errorf("%s answers, and nobody is there", p.Name)
			}
			asked++
		}
		if all := s.askPeers(t.Context(), view{state: c.state}, time.Minute, everybody); asked != want || len(all) != members {
			t.Errorf("of %d members a status asks %d, want %d; a list %d", members, asked, want, len(all))
		}
	}
}
