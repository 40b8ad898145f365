package rpc_test

import (
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/consensus"
)

// Daemons over TLS and real files: members beside the founder get their seats
// by tickets on the leader's stream, and vote when there are enough of them.
func TestSeatsByTicket(t *testing.T) {
	fleet := newFleet(t, 3)
	for _, d := range fleet {
		d.want, d.peers = 0, fleet[0].peers[:1]
	}
	fleet[0].want = 1
	startAll(t, fleet[:2])
	ctx := within(t)
	for _, d := range fleet[:2] {
		if _, err := d.uplink.Propose(ctx, announce(d)); err != nil {
			t.Fatal(err)
		}
	}
	group := func(voters, nonvoters int) func() bool {
		return func() bool {
			h := fleet[0].node.Health()
			return len(h.Voters) == voters && len(h.Nonvoters) == nonvoters
		}
	}
	eventually(t, "one voter and a replica of two members", group(1, 1))
	if err := fleet[2].start(t); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the third knows the leader by its stream", func() bool {
		h := fleet[2].node.Health()
		return h.Part == "agent" && h.Healthy() && h.Leader == fleet[0].badge.id.MemberID
	})
	if fleet[2].node.MaySpeakRaft(fleet[0].badge.id.MemberID) {
		t.Error("an agent without an invitation takes Raft streams")
	}
	if _, err := fleet[2].uplink.Propose(ctx, announce(fleet[2])); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three voters", group(3, 0))
	if _, err := fleet[2].uplink.Propose(ctx, pause("all")); err != nil {
		t.Fatal(err)
	}
	for _, d := range fleet {
		if state := d.linearizable(t); state.Paused.Text != "all" {
			t.Errorf("%s knows %q", d.badge.id.Name, state.Paused.Text)
		}
	}
}

// A ticket of another cluster, or one that contradicts itself, changes nothing.
func TestTicketsAreChecked(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	leader := leaderOf(t, fleet)
	other := "a0000000-0000-4000-8000-000000000009"
	good := consensus.Ticket{
		Cluster: leader.badge.id.ClusterID, Term: 99, Index: 1, Leader: other, LeaderAddress: "10.0.0.9:7471", Invited: true,
		Voters: []consensus.Voter{{Member: other, Address: "10.0.0.9:7471"}},
	}
	for name, spoil := range map[string]func(*consensus.Ticket){
		"another cluster":   func(t *consensus.Ticket) { t.Cluster = other },
		"no voters":         func(t *consensus.Ticket) { t.Voters = nil },
		"too many voters":   func(t *consensus.Ticket) { t.Voters = slices.Repeat(t.Voters, 9) },
		"no term":           func(t *consensus.Ticket) { t.Term = 0 },
		"leader votes not":  func(t *consensus.Ticket) { t.Leader = "a0000000-0000-4000-8000-000000000008" },
		"voter at nowhere":  func(t *consensus.Ticket) { t.Voters = []consensus.Voter{{Member: other}} },
		"voter without id":  func(t *consensus.Ticket) { t.Voters = append(t.Voters, consensus.Voter{Address: "a:1"}) },
		"endless addresses": func(t *consensus.Ticket) { t.Voters[0].Address = string(make([]byte, 1<<20)) },
	} {
		bad := good
		bad.Voters = slices.Clone(good.Voters)
		spoil(&bad)
		if err := leader.node.Take(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if leader.node.MaySpeakRaft(other) {
		t.Error("a refused ticket lets its voters speak Raft")
	}
}
