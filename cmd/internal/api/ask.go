package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxAsked bounds the members that are asked at once.
const maxAsked = 64

// reply is what a member answered.
type reply[T any] struct {
	member cluster.Member
	value  *T
	err    error
}

// askAll asks members side by side, each for no longer than within.
func askAll[T any](ctx context.Context, members []cluster.Member, within time.Duration, ask func(context.Context, cluster.Member) (*T, error)) []reply[T] {
	out := make([]reply[T], len(members))
	turns := make(chan struct{}, maxAsked)
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			value, err := ask(ctx, m)
			if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil && err != nil {
				err = fmt.Errorf("no answer within %v", within)
			}
			out[i] = reply[T]{m, value, err}
		})
	}
	wg.Wait()
	return out
}

// maxStatusAsked is up to how many members a status asks all of. Of a larger
// fleet it asks those that hold seats, which decide whether anything can be
// decided; whether the hosts are there the State knows by their snapshots.
const maxStatusAsked = 16

// askPeers asks every member that keep lets through, and all that have a seat.
func (s *Server) askPeers(ctx context.Context, v view, within time.Duration, keep func(cluster.Member) bool) []Peer {
	h := s.cfg.Replica.Health()
	voters := map[string]bool{}
	var members []cluster.Member
	for _, m := range v.state.Members() {
		if keep(m) || seatOf(h, m.ID) != seatAgent {
			members = append(members, m)
		}
	}
	for _, voter := range slices.Concat(h.Voters, h.Nonvoters) {
		voters[voter.Member] = seated(h.Voters, voter.Member)
		if _, known := v.state.Member(voter.Member); !known {
			members = append(members, cluster.Member{ID: voter.Member, Name: voter.Member, Address: voter.Address})
		}
	}
	replies := askAll(ctx, members, within, s.askPeer)
	out := make([]Peer, len(replies))
	for i, r := range replies {
		p := Peer{ID: r.member.ID}
		if r.value != nil {
			p = *r.value
		}
		if r.err != nil {
			p.Message = message(r.err)
		}
		p.Name, p.Role, p.Address, p.APIAddress = r.member.Name, r.member.Role, r.member.Address, r.member.APIAddress
		p.Voter, p.Leader, p.Voters = voters[p.ID], p.ID == h.Leader, some(p.Voters)
		p.Seat = seatOf(h, p.ID)
		out[i] = p
	}
	compare(out)
	sortByName(out, func(p Peer) string { return p.Name })
	return out
}

func (s *Server) askPeer(ctx context.Context, m cluster.Member) (*Peer, error) {
	if m.ID == s.cfg.Self.MemberID {
		return s.myself(), nil
	}
	if err := s.reachable(m); err != nil {
		return nil, err
	}
	asked := s.cfg.Now()
	answer, err := callPeer[Empty, PeerAnswer](ctx, s.peers, m.APIAddress, "Peer", &Empty{}, nil)
	if err != nil {
		return nil, err
	}
	p := answer.Peer
	if p.ID != m.ID {
		return nil, fmt.Errorf("at %s answers member %.40s", m.APIAddress, p.ID)
	}
	halfway := asked.Add(s.cfg.Now().Sub(asked) / 2)
	p.ClockAheadSeconds = seconds(p.Clock.Sub(halfway))
	return &p, nil
}

func (s *Server) reachable(m cluster.Member) error {
	switch {
	case m.APIAddress == "":
		return errors.New("it has announced no API address yet")
	case s.peers == nil:
		return errors.New("this member calls no others: it has no certificate for it")
	}
	return nil
}

func (s *Server) myself() *Peer {
	p := &Peer{ID: s.cfg.Self.MemberID, Version: s.cfg.Version, Clock: Time{s.cfg.Now()}}
	p.tell(s.cfg.Replica.Health())
	if s.cfg.CertExpires != nil {
		p.CertificateExpires = Time{s.cfg.CertExpires()}
	}
	return p
}

// PeerAnswer is what one member says of itself.
type PeerAnswer struct {
	Head
	Peer Peer `json:"peer"`
}

func (s *Server) peer(_ context.Context, v view, _ *Empty) (*PeerAnswer, error) {
	return &PeerAnswer{v.head("Peer"), *s.myself()}, nil
}

// peersOf lists the members. It needs no leader, but a member without a seat in
// the Raft group knows no State: it asks the leader if it can.
func (s *Server) peersOf(ctx context.Context, who caller, req *Empty) (*PeerList, error) {
	if s.cfg.Replica.Health().LeaderAPI != "" && !who.forwarded {
		asked, cancel := context.WithTimeout(ctx, s.cfg.Limits.Read+s.cfg.Limits.Ask)
		defer cancel()
		if list, err := forward[Empty, PeerList](asked, s, who, "Peers", req, consensus.ErrNotLeader); err == nil {
			return list, nil
		}
	}
	return s.peerList(ctx, s.look(who, nil), req)
}

func (s *Server) statusPeers(ctx context.Context, v view) []Peer {
	few := v.state.MemberCount() <= maxStatusAsked
	return s.askPeers(ctx, v, s.cfg.Limits.Ping, func(cluster.Member) bool { return few })
}

func everybody(cluster.Member) bool { return true }

func (s *Server) peerList(ctx context.Context, v view, _ *Empty) (*PeerList, error) {
	return listOf(v, "PeerList", s.askPeers(ctx, v, s.cfg.Limits.Ask, everybody)), nil
}
