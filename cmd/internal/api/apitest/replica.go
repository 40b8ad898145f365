package apitest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Group is a Raft group in name only: members that share one State at once.
type Group struct {
	mu     sync.Mutex
	fleet  *Fleet
	leader string   // member id, "" for none
	turns  int      // proposals under which a new term begins
	limbo  int      // proposals that are applied, but reported as unknown
	ids    []string // of proposals
	belief map[string]string
	asked  chan struct{} // closed when somebody misses a leader
}

// NewGroup makes a group with a leader. Its fleet may come later, when it is
// known where the members listen.
func NewGroup(f *Fleet, leader string) *Group { return &Group{fleet: f, leader: leader} }

// Set gives the group its fleet.
func (g *Group) Set(f *Fleet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fleet = f
}

// Now is the fleet's clock.
func (g *Group) Now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fleet.Now()
}

// Lead changes the leader; "" leaves none.
func (g *Group) Lead(member string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader = member
}

// Confuse makes members believe in leaders of their own; nobody leads.
func (g *Group) Confuse(belief map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader, g.belief = "", belief
}

// Asked is closed when a member is asked while it misses a leader.
func (g *Group) Asked() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = make(chan struct{})
	return g.asked
}

// Proposals are the ids of the commands that were proposed, in order.
func (g *Group) Proposals() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ids)
}

// Doubt makes the next n proposals end in an unknown outcome although they are
// applied.
func (g *Group) Doubt(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limbo = n
}

// Turn begins a new term under the next n proposals.
func (g *Group) Turn(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turns = n
}

// Replica is one member's view of a group; it fulfils api.Replica and api.Local.
type Replica struct {
	group  *Group
	member string
}

var (
	_ api.Replica = Replica{}
	_ api.Local   = Replica{}
)

// Replica is what a member has of the group.
func (g *Group) Replica(member string) Replica { return Replica{g, member} }

// State implements api.Replica.
func (r Replica) State() (cluster.State, uint64) {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	return r.group.fleet.State, r.group.fleet.State.Index
}

// ReadIndex implements api.Replica.
func (r Replica) ReadIndex(context.Context) (uint64, error) {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	return r.group.fleet.State.Index, r.leads()
}

func (r Replica) leads() error {
	switch r.group.leader {
	case r.member:
		return nil
	case "":
		if r.group.belief[r.member] != "" {
			return consensus.ErrNotLeader
		}
		if r.group.asked != nil {
			close(r.group.asked)
			r.group.asked = nil
		}
		return consensus.ErrNoLeader
	}
	return consensus.ErrNotLeader
}

// Propose implements api.Replica.
func (r Replica) Propose(_ context.Context, c cluster.Command) (uint64, error) {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	if err := r.leads(); err != nil {
		return 0, err
	}
	if !c.OperatorMay() {
		return 0, fmt.Errorf("%w: %s is no command of operators", consensus.ErrInvalid, c.Kind())
	}
	r.group.ids = append(r.group.ids, c.ID)
	if r.group.turns > 0 {
		r.group.turns--
		r.group.fleet.term = r.group.fleet.State.Term + 1
	}
	err := r.group.fleet.Try(c)
	if r.group.limbo > 0 {
		r.group.limbo--
		return 0, consensus.ErrUnknownOutcome
	}
	return r.group.fleet.State.Index, err
}

// Health implements api.Replica.
func (r Replica) Health() consensus.Health {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	s := r.group.fleet.State
	h := consensus.Health{
		Part: "follower", Leader: r.group.leader, Term: s.Term, LastIndex: s.Index, CommitIndex: s.Index, AppliedIndex: s.Index,
		Voters: []consensus.Voter{{Member: HV1}, {Member: HV2}, {Member: W1}},
	}
	if b := r.group.belief[r.member]; b != "" {
		h.Leader = b
	}
	if r.group.leader == r.member {
		h.Part = "leader"
	}
	return h
}

// VMs implements api.Local: what the member's agent would count of its VMs.
func (r Replica) VMs(context.Context) ([]api.LocalVM, error) {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	f := r.group.fleet
	h, _ := f.State.Host(r.member)
	out := []api.LocalVM{}
	for i, vm := range h.Inventory.VMs {
		n := uint64(i + 1)
		out = append(out, api.LocalVM{
			UUID: vm.UUID, Name: vm.Name, Threads: []int{4000 + i}, RunNS: n * 1_000_000_000, WaitNS: n * 2_500_000_000, Waits: n * 300,
			Source: string(cluster.SourceEBPF), Since: f.Now().Add(-time.Minute), SampledAt: f.Now(),
			Block: &api.BlockCounters{
				By: "submitter", Epoch: api.Time{Time: f.Now().Add(-time.Minute)},
				Requests: map[string]uint64{"read": n * 100, "write": n * 40, "flush": n, "discard": 0},
				Bytes:    map[string]uint64{"read": n * 409_600, "write": n * 655_360, "flush": 0, "discard": 0},
				Errors:   map[string]uint64{"read": 0, "write": 0, "flush": 0, "discard": 0},
				QueueNS:  map[string]uint64{"read": n * 1_000_000, "write": n * 400_000, "flush": 0, "discard": 0},
				DeviceNS: map[string]uint64{"read": n * 9_000_000, "write": n * 8_000_000, "flush": n * 500_000, "discard": 0},
			},
		})
	}
	return out, nil
}
