package api

import (
	"context"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// StuckVM is a VM that evenkeel can take to no other host by itself, by what was
// read of it and of all hosts.
type StuckVM struct {
	VM     string `json:"vm"`
	VMUUID string `json:"vm_uuid"`
	Host   string `json:"host"`
	// Hindrance is what keeps it from the host to which the least stands in its
	// way. Its remedy makes one host more to go to.
	Hindrance Hindrance `json:"hindrance"`
	// Operator says that an operator may move it all the same.
	Operator bool `json:"operator"`
}

// StuckList is by the names of the VMs.
type StuckList = List[StuckVM]

// maxStuck bounds the VMs of an answer.
const maxStuck = 10_000

func (s *Server) stuck(ctx context.Context, v view, _ *Empty) (*StuckList, error) {
	items, messages := []StuckVM{}, []string(nil)
	hosts := slices.Collect(func(yield func(string) bool) {
		for id := range v.state.Hosts() {
			if !yield(id) {
				return
			}
		}
	})
	for id, h := range v.state.Hosts() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		from, described := v.state.Described(id)
		if !described {
			messages = append(messages, v.state.HostName(id)+" has not said what its VMs need: nothing is known of them")
			continue
		}
		found := map[*cluster.Need][]cluster.Hindrance{} // equal needs are one in the State
		for _, vm := range h.Inventory.VMs {
			need := from.Need(vm.UUID)
			if vm.Incoming || need == nil {
				continue
			}
			least, known := found[need]
			alone := len(v.state.CopiesOf(vm.UUID, id)) > 0 // whether its disks can be copied is no part of the need
			if !known || alone {
				least = leastHindered(v.state, vm.UUID, id, hosts)
			}
			if !alone {
				found[need] = least
			}
			if len(least) > 0 && len(items) < maxStuck {
				items = append(items, StuckVM{
					VM: vm.Name, VMUUID: vm.UUID, Host: v.state.HostName(id), Hindrance: Hindrance(least[0]),
					Operator: !slices.ContainsFunc(least, func(h cluster.Hindrance) bool { return !h.Auto }),
				})
			}
		}
	}
	sortByName(items, func(vm StuckVM) string { return vm.VM + "\x00" + vm.VMUUID })
	out := listOf(v, "StuckList", items)
	out.Messages = messages
	return out, nil
}

// leastHindered is what keeps a VM from the described host where that is least,
// empty if nothing does; also if there is no such host, for then nothing is known.
func leastHindered(s cluster.State, vm, source string, hosts []string) (least []cluster.Hindrance) {
	known := false
	for _, target := range hosts {
		if _, described := s.Described(target); target == source || !described {
			continue
		}
		list := s.Hindered(vm, source, target)
		if !known || len(list) < len(least) {
			known, least = true, list
		}
		if len(least) == 0 {
			break
		}
	}
	return least
}

// Stuck asks which VMs evenkeel can take nowhere by itself.
func (c *Client) Stuck(ctx context.Context) (*StuckList, error) {
	return call[Empty, StuckList](ctx, c, "Stuck", &Empty{})
}
