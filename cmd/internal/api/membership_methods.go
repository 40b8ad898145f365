package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// membership returns what changes the cluster, or the error that there is
// nothing of the kind.
func (s *Server) membership() (Membership, error) {
	if s.cfg.Members == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this member cannot change who is in the cluster"))
	}
	return s.cfg.Members, nil
}

const (
	shortestToken = time.Minute
	longestToken  = 7 * 24 * time.Hour
	maxJoinPeers  = 8 // addresses in a token
)

func (s *Server) addMember(ctx context.Context, v view, req *AddMemberRequest) (order, error) {
	group, err := s.membership()
	if err != nil {
		return order{}, err
	}
	if req.Role == "" {
		req.Role = cluster.RoleHypervisor
	}
	valid, err := span("valid_seconds", req.ValidSeconds, shortestToken, longestToken)
	if err != nil {
		return order{}, err
	}
	if err := group.CanSign(ctx); err != nil {
		return order{}, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	fingerprint, err := group.Fingerprint()
	if err != nil {
		return order{}, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	t := cluster.Token{ID: cluster.TokenID(req.Hash), Hash: req.Hash, Name: req.Name, Role: req.Role, Expires: v.now.Add(valid), Replace: req.Replace}
	peers := group.Meet()
	return order{
		body: cluster.AddToken{Token: t, Text: req.Reason},
		text: fmt.Sprintf("%s may join as %s until %s", t.Name, t.Role, t.Expires.Std().Format(time.RFC3339)),
		join: &Join{
			Token: t.ID, Cluster: v.state.Cluster, Name: t.Name, Role: t.Role, Fingerprint: fingerprint,
			Addresses: peers[:min(len(peers), maxJoinPeers)], Expires: timeOf(t.Expires),
		},
	}, nil
}

func (s *Server) removeMember(_ context.Context, v view, req *RemoveMemberRequest) (order, error) {
	m, err := findMember(v.state, req.Member)
	if err != nil {
		return order{}, err
	}
	voters := s.cfg.Replica.Health().Voters
	if len(voters) == 1 && voters[0].Member == m.ID {
		return order{}, refused(&cluster.Refusal{Code: cluster.CodeLastVoter, Text: m.Name + " is the only voter: nobody could decide anything without it; let other hosts join, or hand over with `evenkeel cluster transfer-leader NAME` first"})
	}
	return order{
		body: cluster.RemoveMember{Member: m.ID, Force: req.Force, Text: req.Reason},
		text: fmt.Sprintf("%s is no member any more, its certificate (%s) is revoked; stop evenkeeld there", m.Name, m.ID),
	}, nil
}

func (s *Server) transferLeader(_ context.Context, v view, req *TransferLeaderRequest) (order, error) {
	group, err := s.membership()
	if err != nil {
		return order{}, err
	}
	to, name := "", "another voter"
	if req.Member != "" {
		m, err := findMember(v.state, req.Member)
		if err != nil {
			return order{}, err
		}
		to, name = m.ID, m.Name
		h := s.cfg.Replica.Health()
		if to == s.cfg.Self.MemberID {
			return order{text: name + " leads already"}, nil
		}
		if !seated(h.Voters, to) && !seated(h.Nonvoters, to) {
			return order{}, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%s has no vote; the voters are %s", name, voterNames(v.state, h.Voters)))
		}
	} else if len(s.cfg.Replica.Health().Voters) < 2 {
		return order{}, connect.NewError(connect.CodeFailedPrecondition, errors.New("there is no other voter; name a member that holds a replica"))
	}
	return order{
		run:  func(ctx context.Context) error { return group.TransferTo(ctx, to) },
		text: "leadership handed over to " + name,
	}, nil
}

func (s *Server) finalize(_ context.Context, v view, _ *FinalizeRequest) (order, error) {
	var behind []string
	for _, m := range v.state.Members() {
		if m.Level < cluster.CurrentLevel {
			behind = append(behind, fmt.Sprintf("%s (%s, level %d)", m.Name, m.Version, m.Level))
		}
	}
	slices.Sort(behind)
	switch {
	case len(behind) > 0:
		return order{}, refused(&cluster.Refusal{Code: cluster.CodeNotReady, Text: fmt.Sprintf("not all members know feature level %d yet: %s; upgrade them first", cluster.CurrentLevel, strings.Join(behind, ", "))})
	case v.state.Level >= cluster.CurrentLevel:
		return order{text: fmt.Sprintf("nothing to do: the feature level is %d, the newest that this leader knows", v.state.Level)}, nil
	}
	return order{
		body: cluster.RaiseLevel{Level: cluster.CurrentLevel},
		text: fmt.Sprintf("feature level %d -> %d; older versions cannot come back", v.state.Level, cluster.CurrentLevel),
	}, nil
}

func (s *Server) takeLock(_ context.Context, v view, req *LockRequest) (order, error) {
	d, err := span("for_seconds", req.ForSeconds, time.Second, 24*time.Hour)
	if err != nil {
		return order{}, err
	}
	until := v.now.Add(d)
	return order{
		body: cluster.TakeLock{ID: req.Lock, Holder: req.Holder, Until: until, Text: req.Reason},
		text: fmt.Sprintf("%s has the cluster's lock until %s", req.Holder, until.Std().Format(time.RFC3339)),
	}, nil
}

func (s *Server) giveLock(_ context.Context, v view, req *UnlockRequest) (order, error) {
	if req.Lock == "" && !req.Force {
		return order{}, invalid("lock: name the lock that is given back, or say force")
	}
	id, text := req.Lock, "nobody had the cluster's lock"
	if v.state.Lock.Until > v.now {
		text = v.state.Lock.Holder + " has the cluster's lock no more"
	}
	if req.Force {
		id = ""
	}
	return order{body: cluster.GiveLock{ID: id, Text: req.Reason}, text: text}, nil
}

// span is a duration in a request, within bounds.
func span(field string, s float64, least, most time.Duration) (time.Duration, error) {
	if math.IsNaN(s) || s < least.Seconds() || s > most.Seconds() {
		return 0, invalid("%s is %v; it must lie between %v and %v", field, s, least.Seconds(), most.Seconds())
	}
	return time.Duration(s * float64(time.Second)), nil
}
