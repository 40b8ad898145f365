package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Means weigh by the time for which a figure stood, maxima are of single
// snapshots, and a minute appears when it is over.
func TestMinutes(t *testing.T) {
	var h Host
	start := Time(int64(epoch) / int64(time.Minute) * int64(time.Minute))
	at := func(s int) Time { return start.Add(time.Duration(s) * time.Second) }
	beat := func(s int, stood time.Duration, use, run MilliCPU, pain Ratio) {
		h.trend.add(at(s), &Load{Use: use, Contention: pain, VMs: []VMLoad{{Slot: 3, Run: run, Contention: pain}}}, stood)
	}
	beat(10, 5*time.Second, 1000, 1000, 0)
	beat(25, 15*time.Second, 5000, 200, 100_000)
	if len(h.Minutes()) != 0 {
		t.Fatal("a minute that is not over is shown")
	}
	beat(61, 5*time.Second, 0, 0, 0)
	want := []Minute{{
		At: start, Use: near(cpuScale, 4000), UseMax: near(cpuScale, 5000), Pain: Ratio(near(ratioScale, 75_000)), PainMax: Ratio(near(ratioScale, 100_000)),
		VMs: []MinuteVM{{3, near(cpuScale, 400), near(cpuScale, 1000), Ratio(near(ratioScale, 75_000)), Ratio(near(ratioScale, 100_000))}},
	}}
	if diff := cmp.Diff(want, h.Minutes()); diff != "" {
		t.Error(diff)
	}
}

func near(s *scale, v int64) MilliCPU { return MilliCPU(s.values[s.nearest(v)]) }

// The ring against a plain list: it keeps the newest MaxMinutes at least and
// few more, in order, with what each minute had; gaps stay gaps.
func TestMinutesAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr trend
		var list []Minute
		at := epoch / Time(time.Minute) * Time(time.Minute)
		for range rapid.IntRange(1, 200).Draw(t, "minutes") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int64{1, 1, 1, 1, 1, 7}).Draw(t, "gap")) * time.Minute)
			m := Minute{At: at, Use: near(cpuScale, rapid.Int64Range(0, 9000).Draw(t, "use")), VMs: []MinuteVM{}}
			for slot := range uint32(4) {
				if rapid.IntRange(0, 20).Draw(t, "gone") > 0 {
					m.VMs = append(m.VMs, MinuteVM{Slot: slot, Run: near(cpuScale, rapid.SampledFrom([]int64{5, 5, 5, 900}).Draw(t, "run"))})
				}
			}
			tr.append(m)
			list = append(list, m)
		}
		got := tr.minutes()
		if len(got) < min(len(list), MaxMinutes) || len(got) >= MaxMinutes+chunkMinutes {
			t.Fatalf("%d of %d minutes are kept", len(got), len(list))
		}
		if diff := cmp.Diff(list[len(list)-len(got):], got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A slot's minutes are its present VM's: what another did there before is not
// its past.
func TestMinutesOfASlotsNewVM(t *testing.T) {
	w := newWorld(t)
	speak := func(revision uint64, vm string) {
		s := w.snapshot(hv1)
		s.Inventory = &Inventory{Revision: revision, VMs: []VM{testVM(vmB)}}
		first := testVM(vm)
		first.Slot = 49
		s.Inventory.VMs = append([]VM{first}, s.Inventory.VMs...)
		s.Load.Inventory, s.Load.VMs = revision, []VMLoad{{Slot: 49, Run: 500}, {Slot: 50, Run: 300}}
		w.must(byLeader, Snapshots{[]Snapshot{s}})
		w.wait(time.Minute)
	}
	speak(1, vmA)
	speak(1, vmA)
	const vmC = "0000000c-0000-4000-8000-000000000000"
	speak(2, vmC)
	speak(2, vmC)
	speak(2, vmC)
	h, _ := w.s.Host(hv1)
	var of49, of50 int
	for _, m := range h.Minutes() {
		for _, v := range m.VMs {
			switch v.Slot {
			case 49:
				of49++
			case 50:
				of50++
			}
		}
	}
	if of50 != 4 || of49 < 1 || of49 > 2 {
		t.Errorf("%d minutes of the new VM, %d of the one that stayed; want 1 or 2 of 4", of49, of50)
	}
}
