package consensus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Ticket is a leader's word to a member that is not in the Raft group: who
// leads and who votes, and whether the member shall take part. It travels on
// the stream that the member keeps to the leader, so it comes from the member
// that the others name as leader over mutual TLS.
type Ticket struct {
	Cluster string `json:"cluster"`
	Term    uint64 `json:"term"`
	Index   uint64 `json:"index"` // of the leader's log when this was so
	Leader  string `json:"leader"`
	// LeaderAddress and LeaderAPI are where the leader's ports 7471 and 7470 are.
	LeaderAddress string  `json:"leader_address"`
	LeaderAPI     string  `json:"leader_api,omitempty"`
	Voters        []Voter `json:"voters"`
	// Seated: the configuration names the member that is told.
	Seated bool `json:"seated,omitempty"`
	// Invited: the member shall be a nonvoter of this configuration. From now on
	// it takes Raft streams of these voters.
	Invited bool `json:"invited,omitempty"`
	// Disk is the data directory by which the leader's State knows the member
	// that is told, "" if it knows none.
	Disk string `json:"disk,omitempty"`
	// Revoked are the removed members: nobody speaks to them any more.
	Revoked []string `json:"revoked,omitempty"`
}

// Same says whether two tickets say the same, whenever that was.
func (t Ticket) Same(o Ticket) bool {
	return t.Cluster == o.Cluster && t.Term == o.Term && t.Leader == o.Leader && t.LeaderAddress == o.LeaderAddress &&
		t.LeaderAPI == o.LeaderAPI && t.Seated == o.Seated && t.Invited == o.Invited && t.Disk == o.Disk &&
		slices.Equal(t.Voters, o.Voters) && slices.Equal(t.Revoked, o.Revoked)
}

// TicketFor is what a leader has to tell a member; ok is false at any other
// member.
func (n *Node) TicketFor(member string) (t Ticket, ok bool) {
	term, leads := n.Leading()
	if !leads {
		return Ticket{}, false
	}
	state, _ := n.State()
	self, _ := state.Member(n.cfg.Member)
	told, _ := state.Member(member)
	index := n.raft.LastIndex() // first: what the seats are then is at least as new
	seats := n.seats()
	t = Ticket{
		Cluster: n.cfg.Cluster, Term: term, Index: index,
		Leader: n.cfg.Member, LeaderAddress: n.cfg.Address, LeaderAPI: self.APIAddress, Voters: seats.voters(), Disk: told.Disk,
	}
	for _, r := range state.Removals {
		t.Revoked = append(t.Revoked, r.ID)
	}
	_, t.Seated = seats.of(member)
	n.group.mu.Lock()
	defer n.group.mu.Unlock()
	t.Invited = n.group.invited[member]
	return t, true
}

// Take keeps the newest ticket.
func (n *Node) Take(t Ticket) error {
	if err := n.checkTicket(t); err != nil {
		return fmt.Errorf("ticket of term %d by %.40q: %w", t.Term, t.Leader, err)
	}
	if t.Leader == n.cfg.Member {
		return nil // the stream of a leader to itself
	}
	n.compare(t.Disk)
	n.group.mu.Lock()
	defer n.group.mu.Unlock()
	if old := n.group.ticket; old != nil && (t.Term < old.Term || t.Term == old.Term && t.Index < old.Index) {
		return nil // overtaken on its way
	}
	n.group.ticket = &t
	n.changed.ring()
	return nil
}

// errTwin: two foundings bear one cluster's id.
var errTwin = errors.New("it is of another founding of this cluster's id, for this member is the only voter of its own: two clusters never merge; keep one, and empty the state directory of every member of the other before it joins")

// sole says whether this member is the only voter of its group. Nobody can
// have taken its seat then: each change of a configuration is stored by a
// majority of the old and of the new one, so this member would have it.
func (n *Node) sole() bool {
	voters := n.voters()
	return len(voters) == 1 && voters[0].Member == n.cfg.Member
}

// governed says whether this member has a leader by its own configuration. It
// lets nobody else's invitation take it from there: that may be of a twin.
func (n *Node) governed() bool {
	_, leader := n.raft.LeaderWithID()
	return n.named() && (leader != "" || n.sole())
}

func (n *Node) checkTicket(t Ticket) error {
	switch {
	case t.Cluster != n.cfg.Cluster:
		return fmt.Errorf("it is of cluster %.40q, this member of %s: two clusters never merge", t.Cluster, n.cfg.Cluster)
	case t.Leader != n.cfg.Member && n.sole():
		return errTwin
	case t.Term == 0 || len(t.Voters) == 0 || len(t.Voters) > MaxVoters+1 || len(t.Revoked) > cluster.MaxRemovals:
		return fmt.Errorf("it names %d voters and %d removed members", len(t.Voters), len(t.Revoked))
	case !slices.ContainsFunc(t.Voters, func(v Voter) bool { return v.Member == t.Leader }):
		return errors.New("its leader is no voter")
	}
	for _, v := range t.Voters {
		if v.Member == "" || len(v.Member) > 64 || v.Address == "" || len(v.Address) > 300 {
			return fmt.Errorf("voter %.40q at %.40q", v.Member, v.Address)
		}
	}
	return nil
}

// ticket is the newest one that this member was given, nil if none.
func (g *group) held() *Ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ticket
}

func (g *group) invite(member string, yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.invited == nil {
		g.invited = make(map[string]bool)
	}
	if yes {
		g.invited[member] = true
	} else {
		delete(g.invited, member)
	}
}
