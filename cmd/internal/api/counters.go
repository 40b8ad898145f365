package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// counters are the live figures of all hosts that answered.
type counters struct {
	byHost   map[string]map[string]LocalVM // host id → VM's UUID
	silent   map[string]string             // host id → why
	messages []string
}

// LocalAnswer is what one host counts.
type LocalAnswer struct {
	List[LocalVM]
	Member string `json:"member"` // id
}

func (s *Server) localVMs(ctx context.Context, v view, _ *Empty) (*LocalAnswer, error) {
	if s.cfg.Local == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this member is a witness: it has no VMs"))
	}
	vms, err := s.cfg.Local.VMs(ctx)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err)
	}
	return &LocalAnswer{*listOf(v, "LocalVMList", vms), s.cfg.Self.MemberID}, nil
}

// askCounters asks every hypervisor that has VMs.
func (s *Server) askCounters(ctx context.Context, v view) counters {
	var hosts []cluster.Member
	for id, h := range v.state.Hosts() {
		if m, ok := v.state.Member(id); ok && len(h.Inventory.VMs) > 0 {
			hosts = append(hosts, m)
		}
	}
	out := counters{byHost: map[string]map[string]LocalVM{}, silent: map[string]string{}}
	for _, r := range askAll(ctx, hosts, s.cfg.Limits.Ask, s.askHost) {
		if r.err != nil {
			out.silent[r.member.ID] = message(r.err)
			out.messages = append(out.messages, fmt.Sprintf("%s: no live counters: %s", r.member.Name, message(r.err)))
			continue
		}
		vms := make(map[string]LocalVM, len(r.value.Items))
		for _, l := range r.value.Items {
			vms[l.UUID] = l
		}
		out.byHost[r.member.ID] = vms
	}
	return out
}

func (s *Server) askHost(ctx context.Context, m cluster.Member) (*LocalAnswer, error) {
	if m.ID == s.cfg.Self.MemberID {
		return s.localVMs(ctx, s.look(caller{}, nil), &Empty{})
	}
	if err := s.reachable(m); err != nil {
		return nil, err
	}
	answer, err := callPeer[Empty, LocalAnswer](ctx, s.peers, m.APIAddress, "LocalVMs", &Empty{}, nil)
	if err == nil && answer.Member != m.ID {
		err = fmt.Errorf("at %s answers member %.40s", m.APIAddress, answer.Member)
	}
	return answer, err
}

// fill takes the counters from the host where the VM is; while it moves, from
// whichever end counts it.
func (c counters) fill(vm *VM, p cluster.Place) {
	for _, host := range p.Hosts {
		if l, ok := c.byHost[host][vm.UUID]; ok {
			vm.count(l)
			return
		}
	}
	for _, host := range sortedKeys(c.byHost) {
		if l, ok := c.byHost[host][vm.UUID]; ok {
			vm.count(l)
			return
		}
	}
	if vm.Message != "" || len(p.Hosts) == 0 {
		return
	}
	vm.Message = "not counted on " + vm.Host + " yet"
	if why, silent := c.silent[p.Hosts[0]]; silent {
		vm.Message = "no live counters: " + why
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
