package cluster

import (
	"fmt"
	"testing"
)

// BenchmarkApplySnapshot applies one host's snapshot to fleets of unlike size:
// the cost must follow the snapshot (20 VMs), not the fleet.
func BenchmarkApplySnapshot(b *testing.B) {
	for _, hosts := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d-VMs", hosts*20), func(b *testing.B) {
			s, snaps := bigFleet(b, hosts, 20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				snap := snaps[i%hosts]
				snap.Sequence, snap.Inventory = uint64(i+2), nil
				s, _ = s.Apply(Meta{Index: s.Index + 1, Term: 1}, Command{Level: 1, At: epoch, Body: Snapshots{[]Snapshot{snap}}})
			}
			if s.Rejected > 0 {
				b.Fatalf("%d snapshots were refused", s.Rejected)
			}
		})
	}
}

// BenchmarkEncodeState writes down a State of 20,000 VMs, as raft's snapshots do.
func BenchmarkEncodeState(b *testing.B) {
	s, _ := bigFleet(b, 1000, 20)
	for b.Loop() {
		b.ReportMetric(float64(len(encoded(b, s))), "bytes")
	}
}

func bigFleet(b testing.TB, hosts, vms int) (State, []Snapshot) {
	s := New(testCluster)
	var snaps []Snapshot
	apply := func(by Actor, body Body) {
		var err error
		if s, err = s.Apply(Meta{Index: s.Index + 1, Term: 1}, Command{Level: 1, Actor: by, At: epoch, Body: body}); err != nil {
			b.Fatal(err)
		}
	}
	for i := range hosts {
		m := testHost(hv1)
		m.ID = fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
		m.Name = m.ID
		apply(Actor{KindAgent, m.ID, ""}, Announce{testCluster, m})
		snap := Snapshot{Host: m.ID, Incarnation: 1, Sequence: 1, Inventory: &Inventory{Revision: 1}, Load: testLoad(epoch)}
		snap.Load.Memory = 64 * GiB
		for j := range vms {
			vm := testVM(vmA)
			vm.Slot, vm.UUID = uint32(j), fmt.Sprintf("%08x-0000-4000-8000-%012x", i, j)
			snap.Inventory.VMs = append(snap.Inventory.VMs, vm)
			snap.Load.VMs = append(snap.Load.VMs, VMLoad{Slot: vm.Slot, Run: 100, Demand: 100})
		}
		apply(byLeader, Snapshots{[]Snapshot{snap}})
		snaps = append(snaps, snap)
	}
	return s, snaps
}
