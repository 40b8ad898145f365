package consensus

import (
	"cmp"
	"slices"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"
)

// promoter tells autopilot who shall vote. Autopilot's own promoter makes a
// voter of every stable server that it sees, without a cap.
type promoter struct{ want func() seating }

// The node types that autopilot counts with. A server without a vote is no
// potential voter: else a spare that has not caught up yet would count for the
// minimum quorum, and the dead voter be removed before there is another.
const (
	typeVoter autopilot.NodeType = "voter"
	typeSpare autopilot.NodeType = "spare"
)

// GetServerExt implements autopilot.Promoter.
func (promoter) GetServerExt(*autopilot.Config, *autopilot.ServerState) any { return nil }

// GetStateExt implements autopilot.Promoter.
func (promoter) GetStateExt(*autopilot.Config, *autopilot.State) any { return nil }

// GetNodeTypes implements autopilot.Promoter.
func (promoter) GetNodeTypes(_ *autopilot.Config, s *autopilot.State) map[raft.ServerID]autopilot.NodeType {
	types := make(map[raft.ServerID]autopilot.NodeType, len(s.Servers))
	for id, server := range s.Servers {
		types[id] = nodeType(server.HasVotingRights())
	}
	return types
}

func nodeType(votes bool) autopilot.NodeType {
	if votes {
		return typeVoter
	}
	return typeSpare
}

// IsPotentialVoter implements autopilot.Promoter.
func (promoter) IsPotentialVoter(t autopilot.NodeType) bool { return t == typeVoter }

// CalculatePromotionsAndDemotions implements autopilot.Promoter.
func (p promoter) CalculatePromotionsAndDemotions(c *autopilot.Config, s *autopilot.State) autopilot.RaftChanges {
	return reseat(time.Now(), c.ServerStabilizationTime, s, p.want())
}

// FilterFailedServerRemovals implements autopilot.Promoter. A dead voter is
// removed only where that is worth something: another member is to take its
// place, or so many are dead that the others can bear more losses without them
// (5 voters with 2 dead bear none, the 3 that are left bear one).
func (p promoter) FilterFailedServerRemovals(_ *autopilot.Config, _ *autopilot.State, failed *autopilot.FailedServers) *autopilot.FailedServers {
	want := p.want().voting()
	if len(failed.FailedVoters) < 2 {
		failed.FailedVoters = slices.DeleteFunc(failed.FailedVoters, func(s *autopilot.Server) bool {
			return slices.Contains(want, string(s.ID))
		})
	}
	return failed
}

// reseat is one step from the present voters to those that are wanted.
func reseat(now time.Time, stable time.Duration, s *autopilot.State, want seating) (out autopilot.RaftChanges) {
	g := groupOf(now, stable, s, want)
	short := want.voters - g.voting
	switch {
	case short < 0:
		out.Demotions = g.spare(-short)
	case short > 0:
		// In pairs, where it needs a pair to stay odd.
		if n := odd(min(want.voters, g.voting+len(g.ready))) - g.voting; n > 0 {
			out.Promotions = g.ready[:n]
		}
	case len(g.ready) > 0 && len(g.surplus) > 0:
		// A swap. Also a dead voter keeps its vote until its successor has one: 3
		// healthy of 4 bear no loss, as 2 of 2 do, and there never are fewer than 3.
		out.Promotions = g.ready[:1]
	case len(s.Servers) >= MaxVoters && g.absent > 0 && len(g.surplus) > 0 && g.healthy == g.voting:
		// The group is full: the newcomer gets its seat when this one is free.
		out.Demotions = g.spare(1)
	}
	return out
}

// groupView is what a step looks at.
type groupView struct {
	voting, healthy int             // voters, and how many of them are well
	absent          int             // shall vote and have no seat
	ready           []raft.ServerID // shall vote, do not yet, and are stable
	surplus         []raft.ServerID // vote and shall not, unhealthy ones first; never the leader
	ill             map[raft.ServerID]bool
}

func groupOf(now time.Time, stable time.Duration, s *autopilot.State, want seating) groupView {
	g := groupView{ill: make(map[raft.ServerID]bool)}
	for _, id := range want.voting() {
		if _, seated := s.Servers[raft.ServerID(id)]; !seated {
			g.absent++
		}
	}
	ids := make([]raft.ServerID, 0, len(s.Servers))
	for id := range s.Servers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		server, chosen := s.Servers[id], slices.Contains(want.voting(), string(id))
		switch {
		case server.HasVotingRights():
			g.voting++
			if server.Health.Healthy {
				g.healthy++
			} else {
				g.ill[id] = true
			}
			if !chosen && id != s.Leader {
				g.surplus = append(g.surplus, id)
			}
		case server.State == autopilot.RaftNonVoter && chosen && server.Health.IsStable(now, stable):
			g.ready = append(g.ready, id)
		}
	}
	slices.SortStableFunc(g.surplus, func(a, b raft.ServerID) int { return cmp.Or(first(g.ill[a], g.ill[b])) })
	return g
}

// spare lists up to n voters that can lose their vote so that the healthy ones
// that remain still are a majority.
func (g groupView) spare(n int) (out []raft.ServerID) {
	voting, healthy := g.voting, g.healthy
	for _, id := range g.surplus {
		if len(out) == n {
			break
		}
		left := healthy
		if !g.ill[id] {
			left--
		}
		if left < (voting-1)/2+1 {
			continue
		}
		out, voting, healthy = append(out, id), voting-1, left
	}
	return out
}
