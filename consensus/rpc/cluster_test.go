package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Three daemons over TLS and real files: they found a cluster, and a command
// through any of them reaches all.
func TestProposeThroughAnyone(t *testing.T) {
	fleet := newFleet(t, 3)
	startAll(t, fleet)
	ctx := within(t)
	for _, d := range fleet {
		if _, err := d.uplink.Propose(ctx, announce(d)); err != nil {
			t.Fatalf("%s: %v", d.badge.id.Name, err)
		}
	}
	for _, d := range fleet {
		state := d.linearizable(t)
		if members, _, _, _ := state.Size(); members != 3 {
			t.Errorf("%s sees %d members", d.badge.id.Name, members)
		}
	}
}

// linearizable reads the State as of now.
func (d *daemon) linearizable(t *testing.T) cluster.State {
	t.Helper()
	ctx := within(t)
	index, err := d.uplink.ReadIndex(ctx)
	if err != nil {
		t.Fatalf("%s: %v", d.badge.id.Name, err)
	}
	if err := d.node.AwaitIndex(ctx, index); err != nil {
		t.Fatalf("%s: %v", d.badge.id.Name, err)
	}
	state, _ := d.node.State()
	return state
}

// The leader goes, the others go on; it comes back with what it had and gets
// what it missed, and counts its start.
func TestLeaderRestarts(t *testing.T) {
	fleet := newFleet(t, 3)
	startAll(t, fleet)
	ctx := within(t)
	leader := leaderOf(t, fleet)
	if _, err := leader.uplink.Propose(ctx, pause("before")); err != nil {
		t.Fatal(err)
	}
	if n := leader.node.Incarnation(); n != 1 {
		t.Errorf("incarnation %d at the first start", n)
	}
	leader.close(t)
	for _, d := range fleet {
		if d != leader {
			if _, err := d.uplink.Propose(ctx, pause("meanwhile")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := leader.start(t); err != nil {
		t.Fatal(err)
	}
	if state := leader.linearizable(t); state.Paused.Text != "meanwhile" {
		t.Errorf("after the restart it knows %q", state.Paused.Text)
	}
	if n := leader.node.Incarnation(); n != 2 {
		t.Errorf("incarnation %d at the second start", n)
	}
}

func TestRefusalComesBackWhole(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	ctx := within(t)
	c := cluster.Command{Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "uid 0", Name: "root"}, Body: cluster.Cancel{Move: "m-99"}}
	index, err := fleet[0].uplink.Propose(ctx, c)
	refusal := cluster.RefusalOf(err)
	if refusal == nil || refusal.Code != cluster.CodeUnknownMove || !strings.Contains(refusal.Text, "m-99") || index == 0 {
		t.Errorf("index %d, %v; want UNKNOWN_MOVE", index, err)
	}
}

// The same ID, proposed twice from different places, is applied once.
func TestDuplicateID(t *testing.T) {
	fleet := newFleet(t, 3)
	startAll(t, fleet)
	ctx := within(t)
	first := pause("first")
	first.ID = uuid.NewString()
	for _, c := range []cluster.Command{first, pause("second"), first} {
		if _, err := fleet[0].uplink.Propose(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fleet[1].uplink.Propose(ctx, first); err != nil {
		t.Fatal(err)
	}
	if state := fleet[2].linearizable(t); state.Paused.Text != "second" {
		t.Errorf("the pause says %q: a command was applied twice", state.Paused.Text)
	}
}

// An agent that is no Raft member streams to the leader like the others, and
// finds the next leader when that one goes.
func TestAgentWithoutRaft(t *testing.T) {
	fleet := newFleet(t, 3)
	startAll(t, fleet)
	ctx := within(t)
	badge := fleet[0].badge.ca.issue(t, cluster.KindAgent, "outsider")
	client := rpc.NewClient(badge.id, badge.config)
	defer client.Close()
	uplink := rpc.NewUplink(rpc.UplinkConfig{Client: client, Peers: fleet[0].peers, Logger: quietLog})
	run, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { uplink.Run(run); close(done) }()
	defer func() { stop(); <-done }()

	if _, err := uplink.Propose(ctx, cluster.Command{Body: cluster.Announce{Cluster: badge.id.ClusterID, Member: member(badge.id)}}); err != nil {
		t.Fatal(err)
	}
	uplink.Publish(snapshot(badge.id, 1))
	awaitView(t, uplink, func(v cluster.View) bool { return v.Announced == 1 && v.Sequence == 1 && v.Inventory == 7 })

	leaderOf(t, fleet).close(t)
	uplink.Publish(snapshot(badge.id, 2))
	awaitView(t, uplink, func(v cluster.View) bool { return v.Sequence >= 1 && v.Term > 0 })
	// What was sent to the dead leader may be lost: publish until it is not.
	for seq := uint64(3); ; seq++ {
		uplink.Publish(snapshot(badge.id, seq))
		if v := nextView(t, uplink); v.Sequence > 2 {
			break
		}
	}
	leaderOf(t, fleet)
}

func member(id cluster.Identity) cluster.Member {
	return cluster.Member{ID: id.MemberID, Name: id.Name, Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 4000, Memory: 8 * cluster.GiB}
}

// snapshot is a host's; the first carries the inventory.
func snapshot(id cluster.Identity, sequence uint64) cluster.Snapshot {
	s := cluster.Snapshot{Host: id.MemberID, Incarnation: 1, Sequence: sequence, Load: cluster.Load{
		TakenAt: cluster.TimeOf(time.Now()), Window: 10 * time.Second, NextIn: 5 * time.Second, Inventory: 7,
		Source: cluster.SourceEBPF, CPUs: 4000, Memory: 8 * cluster.GiB,
	}}
	if sequence == 1 {
		s.Inventory = &cluster.Inventory{Revision: 7}
	}
	return s
}

func nextView(t *testing.T, u *rpc.Uplink) cluster.View {
	t.Helper()
	select {
	case v := <-u.Views():
		return v
	case <-time.After(patience):
		t.Fatal("no view")
		return cluster.View{}
	}
}

func awaitView(t *testing.T, u *rpc.Uplink, ok func(cluster.View) bool) cluster.View {
	t.Helper()
	var v cluster.View
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if v = nextView(t, u); ok(v) {
			return v
		}
	}
	t.Fatalf("never the view; last was %+v", v)
	return v
}

// Nobody leads: a proposal says so when its time is over, and says unknown
// only if it may have got through.
func TestNoLeader(t *testing.T) {
	fleet := newFleet(t, 3)
	if err := fleet[0].start(t); err != nil { // one of three
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := fleet[0].uplink.Propose(ctx, pause("x")); !errors.Is(err, consensus.ErrNoLeader) {
		t.Errorf("%v, want ErrNoLeader", err)
	}
	if _, err := fleet[0].uplink.ReadIndex(ctx); err == nil {
		t.Error("a linearizable read without a leader")
	}
}

// A command that the leader will never take fails at once, not at the end of
// its time.
func TestProposeNotAllowed(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	leaderOf(t, fleet)
	agent := fleet[0].badge
	operator := agent.ca.issue(t, cluster.KindOperator, "alice")
	asOperator := rpc.NewClient(operator.id, operator.config)
	defer asOperator.Close()
	alice := rpc.NewUplink(rpc.UplinkConfig{Client: asOperator, Peers: fleet[0].peers, Logger: quietLog})
	forwarded := cluster.Actor{Kind: cluster.KindOperator, ID: "uid 1000", Name: "bob"}

	for name, c := range map[string]struct {
		by      *rpc.Uplink
		command cluster.Command
		wrong   string // "" if it is taken
	}{
		"operator sets the mode":           {alice, cluster.Command{Body: cluster.SetMode{Mode: cluster.ModeAuto}}, ""},
		"operator decides":                 {alice, cluster.Command{Body: cluster.Decide{}}, "no command of operators"},
		"operator announces a host":        {alice, cluster.Command{Body: cluster.Announce{}}, "no command of operators"},
		"agent announces":                  {fleet[0].uplink, announce(fleet[0]), ""},
		"agent sets the mode":              {fleet[0].uplink, cluster.Command{Body: cluster.SetMode{Mode: cluster.ModeAuto}}, "no command of agents"},
		"agent decides":                    {fleet[0].uplink, cluster.Command{Body: cluster.Decide{}}, "no command of agents"},
		"agent sends snapshots as command": {fleet[0].uplink, cluster.Command{Body: cluster.Snapshots{}}, "no command of agents"},
		"agent forwards":                   {fleet[0].uplink, cluster.Command{Actor: forwarded, Body: cluster.SetMode{Mode: cluster.ModeAuto}}, ""},
		"agent forwards an agent's":        {fleet[0].uplink, cluster.Command{Actor: forwarded, Body: cluster.Claim{}}, "no command of operators"},
		"agent forwards for nobody":        {fleet[0].uplink, cluster.Command{Actor: cluster.Actor{Kind: cluster.KindOperator}, Body: cluster.Resume{}}, "must be printable"},
		"unprintable":                      {fleet[0].uplink, cluster.Command{Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "x", Name: "a\x1b[2J"}, Body: cluster.Resume{}}, "must be printable"},
		"above the feature level":          {alice, cluster.Command{Level: 9, Body: cluster.Resume{}}, "feature level"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.by.Propose(within(t), c.command)
			switch {
			case c.wrong == "" && err != nil:
				t.Error(err)
			case c.wrong != "" && (!errors.Is(err, consensus.ErrInvalid) || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("%v; want an invalid command and %q", err, c.wrong)
			}
		})
	}
}

// The record says who it was: the certificate's holder, or the operator and
// the agent that vouches.
func TestActorComesFromTheCertificate(t *testing.T) {
	fleet := newFleet(t, 1)
	startAll(t, fleet)
	ctx := within(t)
	agent := fleet[0].badge
	if _, err := fleet[0].uplink.Propose(ctx, pause("forwarded")); err != nil {
		t.Fatal(err)
	}
	if by := fleet[0].linearizable(t).Paused.By; by != "root via "+agent.id.Name {
		t.Errorf("paused by %q", by)
	}
	operator := agent.ca.issue(t, cluster.KindOperator, "alice")
	client := rpc.NewClient(operator.id, operator.config)
	defer client.Close()
	alice := rpc.NewUplink(rpc.UplinkConfig{Client: client, Peers: fleet[0].peers, Logger: quietLog})
	lie := pause("her own")
	lie.Actor.Name = "somebody else"
	if _, err := alice.Propose(ctx, lie); err != nil {
		t.Fatal(err)
	}
	if by := fleet[0].linearizable(t).Paused.By; by != "alice" {
		t.Errorf("paused by %q", by)
	}
	// An agent cannot announce another one: State compares with the certificate.
	other := announce(fleet[0])
	a := other.Body.(cluster.Announce)
	a.Member.ID = uuid.NewString()
	other.Body = a
	if _, err := fleet[0].uplink.Propose(ctx, other); cluster.RefusalOf(err) == nil || cluster.RefusalOf(err).Code != cluster.CodeNotYours {
		t.Errorf("announce another member: %v, want NOT_YOURS", err)
	}
}
