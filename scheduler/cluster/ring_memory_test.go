package cluster

import (
	"runtime"
	"testing"
	"time"
)

// ringOf plays what fills the rings: an hour of minutes, then the beats.
func ringOf(t testing.TB, hosts int) (*fleet, uint64) {
	_, f := fleetOf(t, hosts, 20, 1)
	before := heap()
	for range MaxMinutes + chunkMinutes {
		f.now = f.now.Add(55 * time.Second)
		f.beat()
	}
	for range MaxBeats {
		f.beat()
	}
	return f, heap() - before
}

// heap is what lives on it.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The rings of beats and minutes take at most 35 MB for 20,000 VMs (control.md):
// 1,750 bytes a VM. A tenth of that fleet is measured.
func TestRingMemory(t *testing.T) {
	const hosts = 100
	f, bytes := ringOf(t, hosts)
	vms := uint64(hosts * 20)
	t.Logf("%d bytes a VM: %.1f MB for 20,000", bytes/vms, float64(bytes/vms)*20_000/1e6)
	if bytes/vms > 1750 {
		t.Errorf("the rings take %d bytes a VM", bytes/vms)
	}
	h, _ := f.s.Host(f.hosts[0].id)
	if n := len(h.Minutes()); n < MaxMinutes || len(h.Beats) != MaxBeats {
		t.Fatalf("only %d minutes and %d beats", n, len(h.Beats))
	}
	runtime.KeepAlive(f)
}

// The sizes that control.md promises: at most 24 bytes of a VM that changed
// (its details apart), 12 on average where four in five are quiet, and 5 GB of
// payload a day for 20,000 VMs at a beat of 5 s.
func TestDigestSizes(t *testing.T) {
	for i := range vmScales {
		var v VMLoad
		f := v.figures()
		for j := range f {
			f[j] = vmScales[j].values[len(vmScales[j].values)-1-i]
		}
		v.Slot, v.Settling, v.Poller = MaxSlot-1, true, true
		v.setFigures(f)
		var w writer
		if err := w.vms([]VMLoad{v}); err != nil {
			t.Fatal(err)
		}
		if n := len(w.data) - 1; n > 24 {
			t.Errorf("a VM takes %d bytes", n)
		}
	}
	const beats, vms = 50, 10 * 20
	_, f := fleetOf(t, 10, 20, 1)
	f.bytes = 0
	for range beats {
		f.beat()
	}
	perVM := float64(f.bytes) / beats / vms
	perDay := perVM * 20_000 * 17_280
	t.Logf("%.1f bytes a VM and beat, %.2f GB a day of 20,000", perVM, perDay/1e9)
	if perVM > 12 || perDay > 5e9 {
		t.Errorf("%.1f bytes a VM and beat, %.2f GB a day", perVM, perDay/1e9)
	}
}

// Details of a quiet host cost little: what did not change is not sent.
func TestDetailSizes(t *testing.T) {
	_, f := fleetOf(t, 5, 20, 1)
	sizes := func(details bool) float64 {
		for _, h := range f.hosts {
			h.details = details
		}
		f.bytes = 0
		for range 10 {
			f.beat()
		}
		return float64(f.bytes) / 10 / 100
	}
	plain := sizes(false)
	sizes(true) // the first are whole
	with := sizes(true)
	t.Logf("%.1f bytes a VM without details, %.1f with", plain, with)
	if with-plain > 40 {
		t.Errorf("details take %.1f bytes a VM where four in five are quiet", with-plain)
	}
}
