package cluster

import "testing"

// A VM that nobody reports for a moment keeps its cooldown: its place is
// forgotten then, its move is not.
func TestCooldownOutlivesPlace(t *testing.T) {
	w := newWorld(t)
	w.done()
	revision := uint64(1)
	tell := func(host string, vms ...VM) {
		revision++
		s := w.snapshot(host)
		s.Inventory = &Inventory{Revision: revision, VMs: vms}
		s.Load.Inventory = revision
		rejected := w.s.Rejected
		w.must(byLeader, Snapshots{[]Snapshot{s}})
		if w.s.Rejected != rejected {
			t.Fatal("a snapshot was refused")
		}
	}
	tell(hv1, testVM(vmB))
	tell(hv2, testVM(vmA))
	tell(hv2)
	if p, ok := w.s.Place(vmA); ok {
		t.Fatalf("the place is still known: %+v", p)
	}
	tell(hv2, testVM(vmA))
	w.refuses(CodeCooldown, byLeader, w.decide(w.orderOf(vmA, hv2, hv3, TriggerAuto)))
	w.wait(w.s.Settings.Cooldown)
	revision--
	tell(hv1, testVM(vmB))
	tell(hv2, testVM(vmA))
	tell(hv3)
	w.must(byLeader, w.decide(w.orderOf(vmA, hv2, hv3, TriggerAuto)))
}
