package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// lively is a window of vitals of ten seconds.
func lively(slot uint32, requests, received uint64) Detail {
	return Detail{
		Slot:  slot,
		Block: &Block{Layer: LayerQEMU, Backend: BackendLocal, Read: BlockFigures{Requests: requests}}, Network: &Network{ReceivedBytes: received},
	}
}

// tell lets the first host send what its two VMs show; of the second it says no
// more than given.
func (w *world) tell(details ...Detail) {
	w.t.Helper()
	snap := w.snapshot(hv1)
	snap.Details = &Details{Window: 10 * time.Second, Vitals: 10 * time.Second, Inventory: 1, VMs: details}
	rejected := w.s.Rejected
	w.must(byLeader, Snapshots{[]Snapshot{snap}})
	if w.s.Rejected != rejected {
		w.t.Fatal("a snapshot was refused")
	}
}

func TestLifeFloor(t *testing.T) {
	w := newWorld(t)
	a, b := testVM(vmA).Slot, testVM(vmB).Slot
	floor := func(slot uint32) Life {
		h, _ := w.s.Host(hv1)
		return h.LifeFloor(slot)
	}
	is := func(when string, slot uint32, want Life) {
		t.Helper()
		if got := floor(slot); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	unknown := unknownLife
	is("before anything was told", a, unknown)
	for i := range 31 {
		w.wait(10 * time.Second)
		requests := uint64(500)
		if i == 3 {
			requests = 120
		}
		w.tell(lively(a, requests, 9000), Detail{Slot: b, Network: &Network{ReceivedBytes: 70}})
		if i == 20 {
			is("watched for a short while", a, unknown)
		}
	}
	is("the least of five minutes", a, Life{12, 900, LayerQEMU})
	is("without a disk", b, Life{-1, 7, ""})

	// A State at rest keeps it, and goes on alike.
	back, err := DecodeState(bytes.NewReader(encoded(t, w.s)))
	if err != nil {
		t.Fatal(err)
	}
	if h, _ := back.Host(hv1); h.LifeFloor(a) != (Life{12, 900, LayerQEMU}) || !bytes.Equal(encoded(t, back), encoded(t, w.s)) {
		t.Errorf("after a restart: %+v", h.LifeFloor(a))
	}

	// What was long ago is forgotten, not at once.
	w.wait(30 * time.Minute)
	w.tell(lively(a, 600, 9000), lively(b, 600, 9000))
	is("half an hour later", a, Life{12, 900, LayerQEMU})
	is("with a disk since", b, Life{60, 7, LayerQEMU})
	w.wait(30 * time.Minute)
	w.tell(lively(a, 600, 9000), lively(b, 600, 9000))
	is("an hour later", a, Life{60, 900, LayerQEMU})

	// Requests that are counted elsewhere begin anew.
	device := lively(a, 20, 9000)
	device.Block.Layer = LayerDevice
	w.tell(device, lively(b, 600, 9000))
	is("counted on another layer", a, unknownLife)
	for range 31 {
		w.wait(10 * time.Second)
		w.tell(device, lively(b, 600, 9000))
	}
	is("and watched there", a, Life{2, 900, LayerDevice})

	// Another VM in the slot has a life of its own.
	snap := w.snapshot(hv1)
	other := testVM(vmA)
	other.UUID = "0000000c-0000-4000-8000-000000000000"
	snap.Inventory = &Inventory{Revision: 2, VMs: []VM{other, testVM(vmB)}}
	snap.Load.Inventory = 2
	w.must(byLeader, Snapshots{[]Snapshot{snap}})
	h, _ := w.s.Host(hv1)
	if h.lives.now[0].slot != b || len(h.lives.now) != 1 {
		t.Errorf("lives %+v", h.lives)
	}
}

func TestLivesAtRest(t *testing.T) {
	for name, rows := range map[string][][5]int64{
		"twice":       {{3, 1, 1, 1, 1}, {3, 1, 1, 1, 1}},
		"backwards":   {{3, 1, 1, 1, 1}, {2, 1, 1, 1, 1}},
		"below":       {{-1, 1, 1, 1, 1}},
		"beyond":      {{MaxSlot, 1, 1, 1, 1}},
		"other layer": {{1, 1, 1, 1, 3}},
		"no layer":    {{1, 1, 1, 1, -1}},
	} {
		for _, f := range []livesFile{{Began: 1, Now: rows}, {Began: 1, Past: rows}} {
			if _, err := f.lives(); err == nil || !strings.Contains(err.Error(), "slot") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Shared slices are never written to: an older State keeps what it had.
func TestLivesAreValues(t *testing.T) {
	var l lives
	now := epoch
	l.add(now, &Details{Vitals: 10 * time.Second, VMs: []Detail{lively(1, 100, 100), lively(2, 100, 100)}})
	before := l
	l.add(now.Add(time.Second), &Details{Vitals: 10 * time.Second, VMs: []Detail{lively(1, 50, 100)}})
	l.regroup([]VM{testVM(vmA)}, nil)
	if s, _ := at(before.now, 1); s.Requests != 10 || len(before.now) != 2 {
		t.Errorf("%+v", before)
	}
	if len(l.now) != 0 {
		t.Errorf("%+v", l)
	}
}
