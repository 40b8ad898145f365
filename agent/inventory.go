package agent

import (
	"cmp"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// register gives VMs their slots on this host and notices when the set, or a
// fact in it, changed. A slot stays with its VM for as long as the VM is
// here, and the lowest free one is taken for a new VM.
type register struct {
	incarnation uint64
	changes     uint64
	slots       map[string]uint32
	now         cluster.Inventory
}

func newRegister(incarnation uint64) *register {
	return &register{incarnation: incarnation, slots: map[string]uint32{}}
}

// update takes the present guests; arriving tells which of them a move of
// ours is bringing here. It reports whether anything changed.
func (r *register) update(guests []Guest, arriving func(vm string) bool) bool {
	r.assign(guests)
	vms := make([]cluster.VM, 0, len(guests))
	for _, g := range guests {
		vms = append(vms, cluster.VM{
			Slot: r.slots[g.UUID], UUID: g.UUID, Name: cmp.Or(g.Name, g.UUID),
			VCPUs: min(g.onlineVCPUs(), cluster.MaxVCPUs), MaxMemory: min(max(cluster.Bytes(g.MaxMemoryBytes), 0), cluster.MaxMemory),
			Run: g.run(), Migrating: g.Migrating, Persistent: g.Persistent, Lock: g.lock(),
			Incoming: g.State == RunStatePaused && (g.Incoming || arriving(g.UUID)),
		})
	}
	slices.SortFunc(vms, func(a, b cluster.VM) int { return cmp.Compare(a.Slot, b.Slot) })
	if r.changes > 0 && slices.Equal(vms, r.now.VMs) {
		return false
	}
	r.changes++
	// The incarnation in the upper half keeps revisions apart across restarts.
	r.now = cluster.Inventory{Revision: r.incarnation<<32 | r.changes, VMs: vms}
	return true
}

func (r *register) assign(guests []Guest) {
	here := make(map[string]bool, len(guests))
	for _, g := range guests {
		here[g.UUID] = true
	}
	taken := map[uint32]bool{}
	for vm, slot := range r.slots {
		if !here[vm] {
			delete(r.slots, vm)
			continue
		}
		taken[slot] = true
	}
	next := uint32(0)
	for _, g := range guests {
		if _, has := r.slots[g.UUID]; has {
			continue
		}
		for taken[next] {
			next++
		}
		r.slots[g.UUID], taken[next] = next, true
	}
}

func (g Guest) onlineVCPUs() int {
	n := 0
	for _, tid := range g.VCPUThreads {
		if tid > 0 {
			n++
		}
	}
	return n
}

func (g Guest) run() cluster.RunState {
	switch g.State {
	case RunStateRunning:
		return cluster.RunRunning
	case RunStatePaused:
		return cluster.RunPaused
	}
	return cluster.RunOther
}

func (g Guest) lock() cluster.DiskLock {
	switch {
	case g.Diskless:
		return cluster.LockDiskless
	case g.DisksLocked:
		return cluster.LockLockable
	}
	return cluster.LockNone
}

// memoryUse is what these VMs are charged with.
func memoryUse(vms []cluster.VM) cluster.Bytes {
	var sum cluster.Bytes
	for _, vm := range vms {
		sum += vm.MaxMemory + cluster.VMOverhead
	}
	return sum
}
