package cluster

import "testing"

// Without overcommit memory is what it is; with it the maxima may come to so
// many times of it, down to the byte and up to the largest host that is believed.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		ratio        Ratio
		memory, room Bytes
	}{
		{0, 8 * GiB, 8 * GiB},
		{Whole, 8*GiB + 1, 8*GiB + 1},
		{1_500_000, 8 * GiB, 12 * GiB},
		{1_500_000, 3, 4},
		{1_333_333, 3_000_000, 3_999_999},
		{MaxMemoryRatio, MaxMemory, 4 * MaxMemory},
	} {
		if got := (Settings{MemoryRatio: c.ratio}).Room(c.memory); got != c.room {
			t.Errorf("%v of %d: %d, want %d", c.ratio, c.memory, got, c.room)
		}
	}
}

// What may be in use is bounded by the ratio, what is in use by memory itself.
func TestAdmit(t *testing.T) {
	for name, c := range map[string]struct {
		ratio      Ratio
		most, held Bytes
		refused    string // "" for none
	}{
		"to the brim":                {0, 8 * GiB, 8 * GiB, ""},
		"a byte too much":            {0, 8*GiB + 1, 0, "8.0 GiB needed there, 8.0 GiB there for VMs"},
		"in use beyond its maximum":  {0, 8 * GiB, 9 * GiB, ""}, // QEMU's own, which the maxima's overhead covers on average
		"overcommitted to the brim":  {1_500_000, 12 * GiB, 8 * GiB, ""},
		"overcommitted too much":     {1_500_000, 12*GiB + 1, GiB, "12.0 GiB needed there, 12.0 GiB there for VMs"},
		"overcommitted, and in use":  {1_500_000, 12 * GiB, 8*GiB + 1, "8.0 GiB would be in use there, 8.0 GiB there for VMs"},
		"the largest that there are": {MaxMemoryRatio, 4 * 8 * GiB, 8 * GiB, ""},
	} {
		r := Settings{MemoryRatio: c.ratio}.Admit(Charge{c.most, c.held}, 8*GiB)
		if got := ""; r != nil && (r.Code != CodeNoHeadroom || r.Text != c.refused) || r == nil && c.refused != got {
			t.Errorf("%s: %v, want %q", name, r, c.refused)
		}
	}
}

// A VM is charged with what it has in use only where maxima may exceed memory,
// and only if that is known: swap comes along, huge pages are nobody's own.
func TestChargeOf(t *testing.T) {
	const whole = GiB + VMOverhead
	for name, c := range map[string]struct {
		ratio  Ratio
		change func(w *world, h *Host)
		held   Bytes
	}{
		"not asked for":    {0, func(*world, *Host) {}, whole},
		"known":            {2 * Whole, func(*world, *Host) {}, 300*MiB + VMOverhead},
		"nothing is known": {2 * Whole, func(_ *world, h *Host) { h.Details = nil }, whole},
		"of others":        {2 * Whole, func(_ *world, h *Host) { h.Details.Inventory++ }, whole},
		"not of it":        {2 * Whole, func(_ *world, h *Host) { h.Details.VMs[0].Slot++ }, whole},
		"not its memory":   {2 * Whole, func(_ *world, h *Host) { h.Details.VMs[0].Memory = nil }, whole},
		"comes":            {2 * Whole, func(_ *world, h *Host) { h.Inventory.VMs[0].Incoming = true }, whole},
		"huge pages": {2 * Whole, func(w *world, _ *Host) {
			w.s.descriptions = w.s.descriptions.set(hv1, Description{vms: []needing{{vmA, "n", &Need{Pages: []Pages{{KiB: 2048, Count: 512}}}}}})
		}, whole},
	} {
		w := newWorld(t)
		w.s.Settings.MemoryRatio = c.ratio
		h, _ := w.s.Host(hv1)
		vm := testVM(vmA)
		h.Inventory = Inventory{Revision: 7, VMs: []VM{vm}}
		h.Details = &Details{Inventory: 7, VMs: []Detail{{Slot: vm.Slot, Memory: &Memory{Resident: 200 * MiB, Swapped: 100 * MiB}}}}
		c.change(w, &h)
		w.s.hosts = w.s.hosts.set(hv1, h)
		if got := w.s.Charge(hv1); got != (Charge{whole, c.held}) {
			t.Errorf("%s: %+v, want %v in use", name, got, c.held)
		}
	}
}

// The State refuses what would be in use beyond memory, whatever the ratio allows.
func TestOrderBeyondMemoryInUse(t *testing.T) {
	w := newWorld(t)
	w.s.Settings.MemoryRatio = 2 * Whole
	h, _ := w.s.Host(hv2)
	load := testLoad(epoch)
	load.Memory = GiB // room for 2 GiB of maxima; the VM's 1.25 count whole, for nobody tells what it uses
	h.Beats = []Beat{{At: w.s.Now, Load: load}}
	w.s.hosts = w.s.hosts.set(hv2, h)
	w.refuses(CodeNoHeadroom, byLeader, w.decide(w.orderOf(vmA, hv1, hv2, TriggerOperator)))
}

// VMs of a lost host are placed as they are admitted: 9 GiB find room on a host of
// 8 whose VMs may come to 10.
func TestFailoverOvercommits(t *testing.T) {
	w := rooms(t, nil, []Bytes{8, 8}, []Bytes{4}, []Bytes{5})
	if r := w.s.Standing(); r.Stands != 0 || r.Lacks != GiB {
		t.Errorf("once: %+v", r)
	}
	w.s.Settings.MemoryRatio = 1_250_000
	if r := w.s.Standing(); r.Stands != 1 || r.Spare != GiB {
		t.Errorf("1.25 times: %+v", r)
	}
}
