package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Fit is whether a VM could run on a host, by what was read of both: at their
// start, when they changed, and every few minutes.
type Fit struct {
	VM     string `json:"vm"`
	VMUUID string `json:"vm_uuid"`
	Source string `json:"source"`
	Target string `json:"target"`
	OK     bool   `json:"ok"` // an operator may move it there
	// Hindrances are all that stand against it, the gravest first; never null.
	Hindrances []Hindrance `json:"hindrances"`
	// ReadAt is when the older of the two descriptions was committed, null if
	// one of the hosts has given none.
	ReadAt Time `json:"read_at"`
}

// Hindrance is a reason for which a VM cannot run on a host, and what would
// help. Its codes are explained in docs/refusals.md.
type Hindrance struct {
	Code   cluster.Code `json:"code"`
	Text   string       `json:"text"`
	Remedy string       `json:"remedy"`
	Auto   bool         `json:"auto"` // it holds back only what evenkeel would do by itself
}

// Pair is how many of a host's VMs could run on another.
type Pair struct {
	Source string              `json:"source"`
	Target string              `json:"target"`
	VMs    int                 `json:"vms"`    // at the source
	OK     int                 `json:"ok"`     // that an operator may move there
	Counts []cluster.CodeCount `json:"counts"` // the gravest hindrance of each of the others, by code; never null
}

type (
	// FitList is one VM held against every other host, by name.
	FitList = List[Fit]
	// PairList is every pair of hosts, by the names of source and target.
	PairList = List[Pair]
	// FitRequest names a VM.
	FitRequest struct {
		VM string `json:"vm"` // name or UUID
	}
)

// maxPairs bounds the pairs of an answer: a hundred hosts.
const maxPairs = 10_000

func (s *Server) fits(_ context.Context, v view, req *FitRequest) (*FitList, error) {
	vm, err := findVM(v.state, req.VM)
	if err != nil {
		return nil, err
	}
	items, name := []Fit{}, vmNames(v.state).of(vm)
	p, _ := v.state.Place(vm)
	for _, source := range p.Hosts {
		for target := range v.state.Hosts() {
			if target != source {
				items = append(items, fitOf(v.state, vm, name, source, target))
			}
		}
	}
	sortByName(items, func(f Fit) string { return f.Source + "\x00" + f.Target })
	return listOf(v, "FitList", items), nil
}

func fitOf(s cluster.State, vm, name, source, target string) Fit {
	f := Fit{
		VM: name, VMUUID: vm, Source: s.HostName(source), Target: s.HostName(target), OK: true, Hindrances: []Hindrance{},
	}
	for _, h := range s.Hindered(vm, source, target) {
		f.OK = f.OK && h.Auto
		f.Hindrances = append(f.Hindrances, Hindrance(h))
	}
	from, ok1 := s.Described(source)
	to, ok2 := s.Described(target)
	if ok1 && ok2 {
		f.ReadAt = timeOf(min(from.At, to.At))
		return f
	}
	// Of hosts that say nothing of the sort nothing is concluded; to be silent
	// about that here would read as a pass.
	who := f.Source
	if ok1 {
		who = f.Target
	}
	f.OK = false
	f.Hindrances = append(f.Hindrances, Hindrance{
		cluster.CodeNotChecked, who + " has not said what it offers and what its VMs need", "wait for a minute; then look at evenkeeld and libvirt on " + who, false,
	})
	return f
}

func (s *Server) pairs(ctx context.Context, v view, _ *Empty) (*PairList, error) {
	type end struct{ id, name string }
	var hosts []end
	for id := range v.state.Hosts() {
		hosts = append(hosts, end{id, v.state.HostName(id)})
	}
	slices.SortFunc(hosts, func(a, b end) int { return strings.Compare(a.name, b.name) })
	items, messages := []Pair{}, []string(nil)
	for _, source := range hosts {
		for _, target := range hosts {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if source == target {
				continue
			}
			if len(items) == maxPairs {
				messages = []string{fmt.Sprintf("%d hosts make more pairs than are shown; `evenkeel doctor --vm VM` answers for one VM and every host", len(hosts))}
				break
			}
			items = append(items, pairOf(v.state, source.id, target.id))
		}
	}
	out := listOf(v, "PairList", items)
	out.Messages = messages
	return out, nil
}

func pairOf(s cluster.State, source, target string) Pair {
	h, _ := s.Host(source)
	p := Pair{Source: s.HostName(source), Target: s.HostName(target), Counts: []cluster.CodeCount{}}
	from, ok1 := s.Described(source)
	_, ok2 := s.Described(target)
	found := map[*cluster.Need][]cluster.Hindrance{} // equal needs are one in the State
	count := map[cluster.Code]int{}
	for _, vm := range h.Inventory.VMs {
		if vm.Incoming {
			continue
		}
		p.VMs++
		need := from.Need(vm.UUID)
		list, ok := found[need]
		alone := len(s.CopiesOf(vm.UUID, source)) > 0 // whether its disks can be copied is no part of the need
		if !ok || alone {
			list = slices.DeleteFunc(s.Hindered(vm.UUID, source, target), func(h cluster.Hindrance) bool { return h.Auto })
		}
		if !alone {
			found[need] = list
		}
		switch {
		case len(list) > 0:
			count[list[0].Code]++
		case !ok1 || !ok2:
			count[cluster.CodeNotChecked]++
		default:
			p.OK++
		}
	}
	for code, n := range count {
		p.Counts = append(p.Counts, cluster.CodeCount{Code: code, N: n})
	}
	slices.SortFunc(p.Counts, func(a, b cluster.CodeCount) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return p
}

// Fits asks whether a VM could run on each other host.
func (c *Client) Fits(ctx context.Context, vm string) (*FitList, error) {
	return call[FitRequest, FitList](ctx, c, "Fits", &FitRequest{vm})
}

// Pairs asks of each pair of hosts how many VMs could go from one to the other.
func (c *Client) Pairs(ctx context.Context) (*PairList, error) {
	return call[Empty, PairList](ctx, c, "Pairs", &Empty{})
}
