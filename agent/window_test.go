package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// vmID makes the n-th VM's UUID.
func vmID(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// second makes a sample at a second in which each of n one-vCPU VMs has run
// and waited in total for these times.
func second(at time.Duration, n int, run, wait time.Duration) sample {
	r := Reading{At: at, VMs: map[string]VMReading{}}
	for i := range n {
		v := VCPUReading{TID: 100 + i, RunNS: uint64(run), WaitNS: uint64(wait)}
		r.VMs[vmID(i)] = VMReading{Since: time.Unix(1, 0), VCPUs: []VCPUReading{v}}
	}
	r.Cost = bpf.Cost{Runs: 1e6 * uint64(at/time.Second), Timed: 1000 * uint64(at/time.Second), TimedNS: 50_000 * uint64(at/time.Second)}
	return sample{r, uint64(run) * uint64(n), 7 * uint64(time.Millisecond) * uint64(at/time.Second)}
}

func facts(n int) hostFacts {
	f := hostFacts{cpus: 1000, memory: cluster.GiB, source: cluster.SourceEBPF, takenAt: time.Unix(2e9, 0), nextIn: time.Second}
	f.throttled = func(string, time.Duration) uint64 { return 0 }
	f.halted, f.poller = f.throttled, func(string) bool { return false }
	f.settling, f.task = func(string) bool { return false }, func(int) string { return "" }
	f.inventory.Revision = 1
	for i := range n {
		f.inventory.VMs = append(f.inventory.VMs, cluster.VM{Slot: uint32(i), UUID: vmID(i), Name: "v", VCPUs: 1, Run: cluster.RunRunning})
	}
	return f
}

// Four hungry VMs on one CPU: each runs a quarter and waits three, so steal is
// 75 %, and since they never sleep each demands a whole CPU.
func TestFourHungryVMsOnOneCPU(t *testing.T) {
	var w window
	for s := range 15 {
		d := time.Duration(s) * time.Second
		w.add(second(d, 4, d/4, 3*d/4))
	}
	l := w.load(facts(4))
	if l.Window != 10*time.Second || l.Steal != 750_000 || l.StealMax != 750_000 || l.Use != 1000 || l.Overhead != 0 {
		t.Errorf("host: %+v", l)
	}
	if l.Cost != 57 { // a million switches of 50 ns, and 7 ms of the daemon, a second
		t.Errorf("cost %d, want 57", l.Cost)
	}
	if len(l.VMs) != 4 {
		t.Fatalf("%d VMs", len(l.VMs))
	}
	if v := l.VMs[3]; v.Run != 250 || v.Wait != 750 || v.Demand != 1000 || v.Steal != 750_000 || v.Slot != 3 {
		t.Errorf("VM: %+v", v)
	}
}

// A VM that sleeps more than it waits would not use more CPU if it never
// waited: its demand is what it ran.
func TestSleeperDemandsWhatItRan(t *testing.T) {
	var w window
	for s := range 11 {
		d := time.Duration(s) * time.Second
		w.add(second(d, 1, d/5, d/10))
	}
	if v := w.load(facts(1)).VMs[0]; v.Demand != 200 {
		t.Errorf("demand %d, want 200", v.Demand)
	}
}

// Half way: it waits 40 % and sleeps 20 %, so half of the wait is demand.
func TestDemandBetween(t *testing.T) {
	if d := cluster.Demand(40, 40, 20); d != 60 {
		t.Errorf("demand %d, want 60", d)
	}
}

// A VM that began a second ago, one whose counters began anew, one that is
// paused or arriving: none of them is idle, all of them are unknown.
func TestUnknownIsNotIdle(t *testing.T) {
	var w window
	for s := range 12 {
		d := time.Duration(s) * time.Second
		smp := second(d, 5, d/5, 0)
		if s < 11 {
			delete(smp.reading.VMs, vmID(0)) // just begun
		} else {
			v := smp.reading.VMs[vmID(1)] // counted from a new epoch
			v.Since = time.Unix(5, 0)
			smp.reading.VMs[vmID(1)] = v
		}
		w.add(smp)
	}
	f := facts(5)
	f.inventory.VMs[2].Run = cluster.RunPaused
	f.inventory.VMs[3].Incoming = true
	l := w.load(f)
	if len(l.VMs) != 1 || l.VMs[0].Slot != 4 {
		t.Errorf("figures of %+v, want of slot 4 alone", l.VMs)
	}
}

// A vCPU that is plugged in makes the VM unknown for as long as a window takes;
// what is told then is of the vCPUs that it has, not a mean with those that it
// had.
func TestVCPUsArePlugged(t *testing.T) {
	var w window
	f := facts(1)
	tell := func(s int, tids ...int) (v cluster.VMLoad, known bool) {
		t.Helper()
		d := time.Duration(s) * time.Second
		smp := second(d, 1, 0, 0)
		vm := smp.reading.VMs[vmID(0)]
		vm.VCPUs = nil
		for i, tid := range tids {
			ran := uint64(d) / uint64(i+1) // the second one half as long, since ever
			vm.VCPUs = append(vm.VCPUs, VCPUReading{TID: tid, RunNS: ran, WaitNS: uint64(d) - ran})
		}
		smp.reading.VMs[vmID(0)] = vm
		w.add(smp)
		l := w.load(f)
		if len(l.VMs) == 0 {
			return v, false
		}
		return l.VMs[0], true
	}
	for s := range 12 {
		tell(s, 100)
	}
	if v, known := tell(12, 100); !known || v.Run != 1000 || v.Wait != 0 {
		t.Errorf("one vCPU: %+v, known %v", v, known)
	}
	if v, known := tell(13, 100, 500); known {
		t.Errorf("plugged in a moment ago: %+v", v)
	}
	tell(14, 100, 500)
	if v, known := tell(15, 100, 500); !known || v.Run != 1500 || v.Wait != 500 || v.Steal != 250_000 || v.StealMax != 500_000 {
		t.Errorf("two vCPUs: %+v, known %v", v, known)
	}
	// The one that is left was there all the time: it alone is told of.
	if v, known := tell(16, 100); !known || v.Run != 1000 || v.StealMax != 0 {
		t.Errorf("one vCPU again: %+v, known %v", v, known)
	}
	if v, known := tell(17, 500); known {
		t.Errorf("the other one instead, a moment ago: %+v", v)
	}
}

// Before anything was measured the source is none, which the planner takes as
// unknown; the same after a gap, for the window begins anew.
func TestNothingMeasuredYet(t *testing.T) {
	var w window
	if l := w.load(facts(1)); l.Source != cluster.SourceNone || len(l.VMs) != 0 {
		t.Errorf("%+v", l)
	}
	w.add(second(time.Second, 1, 0, 0))
	w.add(second(time.Hour, 1, time.Hour, 0))
	if l := w.load(facts(1)); l.Source != cluster.SourceNone {
		t.Errorf("after a gap: %+v", l)
	}
}

func TestSlotsStayAndAreReused(t *testing.T) {
	none := func(string) bool { return false }
	guest := func(n int) Guest {
		return Guest{UUID: vmID(n), Name: "v", State: RunStateRunning, VCPUThreads: []int{5}}
	}
	r := newRegister(7)
	if !r.update([]Guest{guest(1), guest(2), guest(3)}, none) || r.now.Revision != 7<<32|1 {
		t.Fatalf("first listing: %+v", r.now)
	}
	if r.update([]Guest{guest(1), guest(2), guest(3)}, none) {
		t.Error("the same listing is a change")
	}
	r.update([]Guest{guest(1), guest(3)}, none)
	r.update([]Guest{guest(1), guest(3), guest(4), guest(5)}, none)
	want := map[string]uint32{vmID(1): 0, vmID(4): 1, vmID(3): 2, vmID(5): 3}
	for _, vm := range r.now.VMs {
		if want[vm.UUID] != vm.Slot {
			t.Errorf("VM %s has slot %d, want %d", vm.UUID, vm.Slot, want[vm.UUID])
		}
	}
	if r.now.Revision != 7<<32|3 {
		t.Errorf("revision %x", r.now.Revision)
	}
}

func TestArrivingVMIsIncomingUntilItRuns(t *testing.T) {
	r := newRegister(1)
	g := Guest{UUID: vmID(1), Name: "v", State: RunStatePaused}
	ours := func(string) bool { return true }
	r.update([]Guest{g}, ours)
	if !r.now.VMs[0].Incoming {
		t.Error("paused while our move brings it: not incoming")
	}
	g.State = RunStateRunning
	r.update([]Guest{g}, ours)
	if r.now.VMs[0].Incoming {
		t.Error("running, and still incoming")
	}
}
