package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Peer is a member of the cluster and what it says of itself. It needs no
// leader: each member was asked.
type Peer struct {
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	Role   cluster.Role `json:"role"`
	Voter  bool         `json:"voter"` // by the configuration of the member that was asked
	Leader bool         `json:"leader"`
	// Seat is voter, nonvoter (holds a replica and votes next), or agent (streams
	// to the leader only); by the configuration of the member that was asked.
	Seat       string `json:"seat"`
	Address    string `json:"address"`
	APIAddress string `json:"api_address"`

	// Healthy: it answers, complains of nothing, and its log is close to the
	// newest one.
	Healthy bool   `json:"healthy"`
	Answers bool   `json:"answers"`
	Message string `json:"message"` // why it does not answer, or is no part of the cluster

	// What it says of itself; zero if it does not answer.
	Version      string `json:"version"`
	Part         string `json:"part"` // in Raft: leader, follower, candidate or shutdown
	Term         uint64 `json:"term"`
	LastIndex    uint64 `json:"last_index"`
	AppliedIndex uint64 `json:"applied_index"`
	// Behind is how many entries its log lacks of the newest that any member has.
	Behind uint64 `json:"behind"`
	// ContactSeconds is since it last heard of the leader; 0 at the leader,
	// negative for never.
	ContactSeconds float64 `json:"contact_seconds"`
	AppendSeconds  float64 `json:"append_seconds"` // of its last append to the log
	LeaderChanges  uint64  `json:"leader_changes"` // that it saw since its start
	// Unfit says that it has cut itself off because its disk hangs or refuses.
	Unfit bool `json:"unfit"`
	// StalledSeconds is for how long no majority has stored what this leader
	// sends; 0 if one has.
	StalledSeconds float64  `json:"stalled_seconds"`
	Voters         []string `json:"voters"`      // ids, by its own configuration
	SeesLeader     string   `json:"sees_leader"` // id, "" for none
	Clock          Time     `json:"clock"`
	// ClockAheadSeconds is its clock less ours, halfway through the call.
	ClockAheadSeconds float64 `json:"clock_ahead_seconds"`
	// CertificateExpires is when its own certificate does, null if it has not said.
	CertificateExpires Time `json:"certificate_expires"`
}

// What counts as close: the leader's own measure for a server's health.
const (
	behindLimit  = 512
	contactLimit = 5.0 // seconds
)

// compare fills in what can only be told of all members together.
func compare(peers []Peer) {
	var newest uint64
	for _, p := range peers {
		newest = max(newest, p.LastIndex)
	}
	for i := range peers {
		p := &peers[i]
		p.Healthy = p.Answers && p.Message == "" && p.Part != "shutdown" && p.Part != "candidate"
		if p.Answers && p.Seat != seatAgent {
			p.Behind = newest - p.LastIndex
			p.Healthy = p.Healthy && p.Behind <= behindLimit && p.ContactSeconds >= 0 && p.ContactSeconds <= contactLimit
		}
	}
}

// The seats.
const (
	seatVoter    = "voter"
	seatNonvoter = "nonvoter"
	seatAgent    = "agent"
)

func seatOf(h consensus.Health, member string) string {
	switch {
	case seated(h.Voters, member):
		return seatVoter
	case seated(h.Nonvoters, member):
		return seatNonvoter
	}
	return seatAgent
}

// stallWarned is how long entries may wait for a majority before it is said;
// shorter waits are a slow disk or a member that has just gone.
const stallWarned = 3 * time.Second

// tell fills in what a replica knows of itself.
func (p *Peer) tell(h consensus.Health) {
	p.Answers, p.Part, p.Term, p.LastIndex, p.AppliedIndex = true, h.Part, h.Term, h.LastIndex, h.AppliedIndex
	p.ContactSeconds = h.Contact.Seconds()
	p.AppendSeconds, p.LeaderChanges, p.SeesLeader = h.AppendLatency.Seconds(), h.LeaderChanges, h.Leader
	p.Voters = make([]string, len(h.Voters))
	for i, v := range h.Voters {
		p.Voters[i] = v.Member
	}
	switch {
	case h.Halted != "":
		p.Message = "stopped applying: " + h.Halted
	case h.Unfit != "":
		p.Unfit, p.Message = true, h.Unfit
	case h.Stalled > stallWarned:
		p.StalledSeconds = h.Stalled.Seconds()
		p.Message = fmt.Sprintf("no majority has stored its entries for %s: see the disks of the other voters", h.Stalled.Round(time.Second))
	case h.Waiting != "":
		p.Message = h.Waiting
	}
}

// Quorum says how many voters are left and how many may yet be lost.
type Quorum struct {
	Voters    int `json:"voters"`
	Answering int `json:"answering"`
	Needed    int `json:"needed"`
	// Spare is how many more voters may be lost before nothing can be decided;
	// negative: that many are missing.
	Spare int `json:"spare"`
}

func quorumOf(peers []Peer) Quorum {
	var q Quorum
	for _, p := range peers {
		if p.Voter {
			q.Voters++
			if p.Answers && !p.Unfit && p.Part != "shutdown" {
				q.Answering++
			}
		}
	}
	q.Needed = q.Voters/2 + 1
	q.Spare = q.Answering - q.Needed
	return q
}

// seated says whether a member is among voters or nonvoters.
func seated(list []consensus.Voter, member string) bool {
	return slices.ContainsFunc(list, func(v consensus.Voter) bool { return v.Member == member })
}

func voterNames(s cluster.State, voters []consensus.Voter) string {
	names := make([]string, len(voters))
	for i, v := range voters {
		names[i] = s.HostName(v.Member)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
