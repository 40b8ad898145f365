package cluster

import (
	"strings"
	"testing"
	"time"
)

// fullDetail fills every field.
func fullDetail() Detail {
	figures := BlockFigures{7, 8 << 10, 1, 2 * time.Millisecond, 3 * time.Millisecond, 9 * time.Millisecond, 6 * time.Millisecond}
	dirty := BytesPerSecond(8 * MiB)
	return Detail{
		Slot: 49, Waits: &Waits{1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		Culprits: []Culprit{{VM: vmB, Share: 710_000}, {Task: "backup", Share: 40_000}},
		Block:    &Block{LayerDevice, BackendLocal, "nfs server:/export", "page cache", figures, figures, figures},
		Memory:   &Memory{GiB, MiB, 3, GiB, &dirty}, Network: &Network{11, 12}, Quota: 1500, Shares: 200,
	}
}

// Details that cannot be true are refused whole, with the slot named.
func TestDetailsThatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(d *Detail){
		"slot too large":           func(d *Detail) { d.Slot = MaxSlot },
		"too many culprits":        func(d *Detail) { d.Culprits = make([]Culprit, MaxCulprits+1) },
		"a culprit nobody knows":   func(d *Detail) { d.Culprits[0].VM = "" },
		"a culprit of two names":   func(d *Detail) { d.Culprits[0].Task = "backup" },
		"a culprit that is no id":  func(d *Detail) { d.Culprits[0] = Culprit{VM: "db-01", Share: 1} },
		"a task's endless name":    func(d *Detail) { d.Culprits[1].Task = strings.Repeat("x", maxTask+1) },
		"a task's name is no text": func(d *Detail) { d.Culprits[1].Task = "a\xff" },
		"a share beyond the whole": func(d *Detail) { d.Culprits[1].Share = Percent(200) },
		"a negative cause":         func(d *Detail) { d.Waits.Migrated = -1 },
		"an endless cause":         func(d *Detail) { d.Waits.SliceQuota = 1 << 62 },
		"a negative quota":         func(d *Detail) { d.Quota = -1 },
		"negative shares":          func(d *Detail) { d.Shares = -1 },
		"shares without end":       func(d *Detail) { d.Shares = MaxShares + 1 },
		"an unknown layer":         func(d *Detail) { d.Block.Layer = "drive" },
		"an unknown backend":       func(d *Detail) { d.Block.Backend = "" },
		"a backend's endless name": func(d *Detail) { d.Block.Shared = strings.Repeat("n", maxName+1) },
		"a reason without end":     func(d *Detail) { d.Block.Hidden = strings.Repeat("n", maxName+1) },
		"a negative latency":       func(d *Detail) { d.Block.Read.Queue = -1 },
		"an endless latency":       func(d *Detail) { d.Block.Write.P99 = 1 << 62 },
		"requests without end":     func(d *Detail) { d.Block.Flush.Requests = 1 << 60 },
		"negative memory":          func(d *Detail) { d.Memory.Resident = -1 },
		"endless swap":             func(d *Detail) { d.Memory.Swapped = 1 << 62 },
		"faults without end":       func(d *Detail) { d.Memory.MajorFaults = 1 << 60 },
		"a negative dirty rate":    func(d *Detail) { *d.Memory.DirtyRate = -1 },
		"bytes without end":        func(d *Detail) { d.Network.SentBytes = 1 << 60 },
	} {
		d := fullDetail()
		if err := detailsOf(d).check("hv1"); err != nil {
			t.Fatalf("a detail that can be true: %v", err)
		}
		spoil(&d)
		if err := detailsOf(d).check("hv1"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	d := fullDetail()
	if detailsOf(d, d).check("hv1") == nil {
		t.Error("the same slot twice: accepted")
	}
	if detailsOf(make([]Detail, MaxVMsPerHost+1)...).check("hv1") == nil {
		t.Error("details without end: accepted")
	}
	for _, windows := range [][2]time.Duration{{0, 0}, {-1, 0}, {time.Hour, 0}, {time.Second, -1}, {time.Second, time.Hour}} {
		if (&Details{Window: windows[0], Vitals: windows[1]}).check("hv1") == nil {
			t.Errorf("windows of %v: accepted", windows)
		}
	}
	snap := Snapshot{Host: hv1, Incarnation: 1, Sequence: 1, Load: testLoad(epoch), Details: detailsOf(Detail{Slot: MaxSlot})}
	if snap.check() == nil {
		t.Error("a snapshot with impossible details: accepted")
	}
}

func detailsOf(vms ...Detail) *Details {
	return &Details{Window: 9 * time.Second, Vitals: 10 * time.Second, Inventory: 1, VMs: vms}
}

// Details are kept until the host sends newer ones, and are believed only of
// the VMs that they were measured on.
func TestDetailsOutliveBeats(t *testing.T) {
	h, s := Host{ID: hv1, Inventory: Inventory{Revision: 1}}, New(testCluster)
	for i := range 3 {
		snap := Snapshot{Host: hv1, Sequence: uint64(i + 1), Load: testLoad(epoch)}
		if i == 1 {
			snap.Details = detailsOf(fullDetail())
		}
		h.accept(&snap, epoch.Add(time.Duration(i)*time.Second), &s)
		if _, window, ok := h.Detail(49); ok != (i > 0) || ok && window != 10*time.Second {
			t.Errorf("beat %d: details %v over %v", i+1, ok, window)
		}
	}
	if h.DetailsAt != epoch.Add(time.Second) {
		t.Errorf("details of %v", h.DetailsAt)
	}
	if _, _, ok := h.Detail(50); ok {
		t.Error("details of a slot that has none")
	}
	h.Inventory.Revision = 2
	if _, _, ok := h.Detail(49); ok {
		t.Error("details of another set of VMs are believed")
	}
}
