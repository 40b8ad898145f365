package whatif

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// beat is a host's snapshot that the record has just taken.
type beat struct {
	id      string
	host    cluster.Host // after it
	member  cluster.Member
	last    cluster.Beat
	details bool // they came with it
	absent  []cluster.VM
}

// beatsOf lists the hosts whose newest snapshot an entry brought, each once.
func beatsOf(before, after cluster.State, batch []cluster.Snapshot) []beat {
	var out []beat
	for i := range batch {
		id := batch[i].Host
		h, ok := after.Host(id)
		old, _ := before.Host(id)
		last, heard := h.Last()
		if !ok || !heard || h.Seq == old.Seq || slices.ContainsFunc(out, func(b beat) bool { return b.id == id }) {
			continue
		}
		b := beat{id: id, host: h, last: last, details: h.DetailsSeq == h.Seq}
		b.member, _ = after.Member(id)
		if h.Inventory.Revision != old.Inventory.Revision {
			b.absent = lost(old.Inventory.VMs, h.Inventory.VMs)
		}
		out = append(out, b)
	}
	return out
}

// lost lists the VMs that are no longer there.
func lost(before, after []cluster.VM) []cluster.VM {
	stays := make(map[string]bool, len(after))
	for _, vm := range after {
		stays[vm.UUID] = true
	}
	return slices.DeleteFunc(slices.Clone(before), func(vm cluster.VM) bool { return stays[vm.UUID] })
}

// sight is a VM as the record last showed it.
type sight struct {
	facts  cluster.VM
	load   cluster.VMLoad
	shares cluster.Shares
	at     cluster.Time // when load was measured; 0: never
}

// past is what the record says of each VM.
type past struct {
	seen map[string]sight  // by VM
	on   map[string]string // host by VM
}

// change is a VM that came to be elsewhere in the record.
type change struct {
	vm, from, to string // to "": it is gone
	ours         bool   // a move that the leader had decided on did it
}

// recall makes a past of what a State knows.
func recall(s cluster.State) *past {
	p := &past{seen: map[string]sight{}, on: map[string]string{}}
	for id, h := range s.Hosts() {
		last, _ := h.Last()
		p.look(beat{id: id, host: h, last: last})
		for _, vm := range h.Inventory.VMs {
			if place, ok := s.Place(vm.UUID); ok && !vm.Incoming && len(place.Hosts) == 1 {
				p.on[vm.UUID] = id
			}
		}
	}
	return p
}

// take notes what beats show, and says which VMs came to be elsewhere.
func (p *past) take(s cluster.State, beats []beat) []change {
	var out []change
	for _, b := range beats {
		p.look(b)
		for _, vm := range b.host.Inventory.VMs {
			if vm.Incoming || p.on[vm.UUID] == b.id {
				continue
			}
			place, ok := s.Place(vm.UUID)
			if !ok || len(place.Hosts) != 1 || place.Hosts[0] != b.id {
				continue // on two hosts for a moment: the next beats will tell
			}
			if from, known := p.on[vm.UUID]; known {
				out = append(out, change{vm.UUID, from, b.id, ours(s, vm.UUID, from, b.id)})
			}
			p.on[vm.UUID] = b.id
		}
		for _, vm := range b.absent {
			if _, ok := s.Place(vm.UUID); !ok && p.on[vm.UUID] == b.id {
				delete(p.on, vm.UUID)
				delete(p.seen, vm.UUID)
				out = append(out, change{vm: vm.UUID, from: b.id})
			}
		}
	}
	return out
}

// look notes the figures of a host's VMs.
func (p *past) look(b beat) {
	for _, vm := range b.host.Inventory.VMs {
		if vm.Incoming {
			continue
		}
		v := p.seen[vm.UUID]
		v.facts = vm
		if l, ok := b.last.Load.VM(vm.Slot); ok && b.last.Load.Inventory == b.host.Inventory.Revision {
			v.load, v.shares, v.at = l, b.host.SharesOf(vm.Slot), b.last.At
		}
		p.seen[vm.UUID] = v
	}
}

// ours says whether a move that the leader had decided on brought a VM from one
// host to another just now. Whatever else moved it (an operator's order, another
// tool) would have done so under other settings too.
func ours(s cluster.State, vm, from, to string) bool {
	for _, m := range s.MovesBackward() {
		if m.VM == vm {
			return chosen(m) && m.Source == from && m.Target == to && m.StartedAt != 0 &&
				(m.State.Live() || s.Now.Sub(m.EndedAt) < 10*time.Minute)
		}
		if s.Now.Sub(m.OrderedAt) > 48*time.Hour {
			break
		}
	}
	return false
}

// chosen says whether the leader had chosen the move: by itself, or to drain a
// host. The lane's leader does so too, and may choose another.
func chosen(m cluster.Move) bool {
	return m.Trigger == cluster.TriggerAuto || m.Code == cluster.CodeDrain || m.Code == cluster.CodeRestore
}

// carried says whether such a move is carrying a VM.
func carried(s cluster.State, vm string) bool {
	m, ok := s.LiveMove(vm)
	return ok && chosen(m)
}
