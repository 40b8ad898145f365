package consensus

import (
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Health is what a replica knows about itself, without asking anyone.
type Health struct {
	Part          string // leader, follower, candidate, shutdown; agent if it has no seat in the Raft group
	Leader        string // member UUID, "" if none is known
	LeaderAddress string
	LeaderAPI     string // its address, if a stream and not the State told of it
	Term          uint64
	LastIndex     uint64 // newest entry in the log
	CommitIndex   uint64
	AppliedIndex  uint64
	Voters        []Voter
	Nonvoters     []Voter       // hold a replica, and vote next
	Contact       time.Duration // since the leader was last heard of; 0 at the leader, -1 for never
	LeaderChanges uint64        // since this start
	AppendLatency time.Duration // of the last append to the log, or of one that hangs
	Unfit         string        // why this member has cut itself off from the others, "" if it has not
	Stalled       time.Duration // a leader's: for how long no majority has stored its newest entries, 0 if one has
	Followers     []Follower    // a leader's: the other members of the Raft group, by id
	Waiting       string        // why this member has no part in a cluster yet, "" if it has
	Halted        string        // why this replica has stopped applying, "" if it has not
}

// Follower is another member of the Raft group as its leader sees it. It is
// asked every few seconds.
type Follower struct {
	Member  string
	Contact time.Duration // since it last heard of the leader, or since it last answered if that is longer
	Behind  uint64        // entries that its log lacked when it last answered
}

// Healthy says whether the replica has a part in a cluster with a leader.
func (h Health) Healthy() bool {
	return h.Halted == "" && h.Unfit == "" && h.Waiting == "" && h.Leader != ""
}

// Health looks at the replica.
func (n *Node) Health() Health {
	leader, addr, _ := n.Leader()
	servers := n.seats()
	h := Health{
		Part: strings.ToLower(n.raft.State().String()), Leader: leader, LeaderAddress: addr,
		Term: n.raft.CurrentTerm(), LastIndex: n.raft.LastIndex(), CommitIndex: n.raft.CommitIndex(), AppliedIndex: n.raft.AppliedIndex(),
		Voters: servers.voters(), Nonvoters: servers.nonvoters(), Contact: -1, LeaderChanges: n.changes.Load(),
		AppendLatency: n.disk.latency(), Waiting: n.group.waitsFor(),
	}
	if t := n.group.held(); t != nil && !n.named() && h.Part != "shutdown" {
		h.Part, h.Term, h.LeaderAPI, h.Voters = "agent", max(h.Term, t.Term), t.LeaderAPI, t.Voters
	}
	if last := n.raft.LastContact(); !last.IsZero() {
		h.Contact = time.Since(last)
	}
	if n.raft.State() == raft.Leader {
		h.Contact = 0
	}
	if err := n.gate.why(); err != nil {
		h.Unfit = err.Error()
	}
	if h.Part == "leader" && h.Unfit == "" {
		h.Stalled = n.lag.stalled()
	}
	if p := n.pilot.Load(); p != nil && h.Part == "leader" {
		h.Followers = p.followers()
	}
	if err := n.fsm.halted(); err != nil {
		h.Halted = err.Error()
	}
	return h
}
