package api

import (
	"context"
	"runtime"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (s *Server) status(ctx context.Context, v view, _ *Empty) (*Status, error) {
	out := statusOf(v.state, v.now)
	out.Head, out.Member, out.Version = v.head("Status"), s.cfg.Name, s.cfg.Version
	h := s.cfg.Replica.Health()
	if h.Leader != "" && v.stale == nil {
		out.Leader = &Ref{h.Leader, v.state.HostName(h.Leader)}
	}
	out.Term = max(out.Term, h.Term)
	peers := s.statusPeers(ctx, v)
	out.Quorum = quorumOf(peers)
	out.warnQuorum(peers)
	out.warnCertificates(peers, v.now)
	if s.cfg.Webhooks != nil {
		out.Webhooks = s.cfg.Webhooks()
		out.warnWebhooks()
	}
	return out, nil
}

func (s *Server) hosts(_ context.Context, v view, _ *Empty) (*HostList, error) {
	return listOf(v, "HostList", hostsOf(v.state, v.now)), nil
}

// vms joins the State's VMs with counters that every hypervisor is asked for
// now.
func (s *Server) vms(ctx context.Context, v view, _ *Empty) (*VMList, error) {
	counts := s.askCounters(ctx, v)
	items := []VM{}
	for uuid, p := range v.state.Places() {
		vm := vmOf(v.state, uuid, p, v.now)
		counts.fill(&vm, p)
		items = append(items, vm)
	}
	sortByName(items, func(vm VM) string { return vm.Name + "\x00" + vm.UUID })
	out := listOf(v, "VMList", items)
	out.Messages = counts.messages
	return out, nil
}

func (s *Server) moves(_ context.Context, v view, req *HistoryRequest) (*MoveList, error) {
	if req.Limit < 0 {
		return nil, invalid("limit is %d, must be 0 or more", req.Limit)
	}
	items := []Move{}
	for _, m := range v.state.MovesBackward() {
		if req.VM != "" && m.VM != req.VM && m.VMName != req.VM || req.Live && !m.State.Live() {
			continue
		}
		if items = append(items, moveOf(v.state, m)); len(items) == req.Limit {
			break
		}
	}
	return listOf(v, "MoveList", items), nil
}

func (s *Server) decisions(_ context.Context, v view, req *HistoryRequest) (*DecisionList, error) {
	if req.Limit < 0 {
		return nil, invalid("limit is %d, must be 0 or more", req.Limit)
	}
	items, vms := []Decision{}, vmNames(v.state)
	for _, d := range v.state.DecisionsBackward() {
		if items = append(items, decisionOf(v.state, vms, d)); len(items) == req.Limit {
			break
		}
	}
	return listOf(v, "DecisionList", items), nil
}

func (s *Server) settings(_ context.Context, v view, _ *Empty) (*Settings, error) {
	return &Settings{v.head("Settings"), settingsOf(v.state.Settings), quietOf(v.state)}, nil
}

func (s *Server) version(_ context.Context, v view, _ *Empty) (*ServerVersion, error) {
	return &ServerVersion{Head: v.head("Version"), Member: s.cfg.Name, Version: s.cfg.Version, Go: runtime.Version(), Level: cluster.CurrentLevel}, nil
}
