package cluster

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkApplySnapshot applies one host's delta to fleets of unlike size:
// the cost must follow the snapshot (20 VMs, 80 % quiet), not the fleet.
func BenchmarkApplySnapshot(b *testing.B) {
	for _, hosts := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d-VMs", hosts*20), func(b *testing.B) {
			s, f := fleetOf(b, hosts, 20, MaxBeats)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				f.s = s
				h := *f.hosts[i%hosts] // a copy: each round amends the same beat
				snap := f.snapshot(&h)
				c := Command{Level: 1, At: f.now.Add(time.Second), Body: Snapshots{[]Snapshot{snap}}}
				b.StartTimer()
				next, err := s.Apply(Meta{Index: s.Index + 1, Term: 1}, c)
				if err != nil || next.Rejected > 0 {
					b.Fatal(err, next.Rejected)
				}
			}
		})
	}
}

// BenchmarkBeat is a beat of 1,000 hosts with 20 VMs, 80 % of them quiet: what
// a replica spends on reading and applying it, and its bytes.
func BenchmarkBeat(b *testing.B) {
	s, f := fleetOf(b, 1000, 20, MaxBeats)
	f.bytes = 0
	f.now = f.now.Add(5 * time.Second)
	var entries [][]byte
	for i := 0; i < len(f.hosts); i += 100 {
		data, err := EncodeCommand(Command{Level: 1, At: f.now, Body: f.entry(f.hosts[i : i+100])})
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, data)
	}
	b.ReportAllocs()
	for b.Loop() {
		now := s
		for _, data := range entries {
			c, err := DecodeCommand(data)
			if err != nil {
				b.Fatal(err)
			}
			if now, err = now.Apply(Meta{Index: now.Index + 1, Term: 1}, c); err != nil || now.Rejected > 0 {
				b.Fatal(err, now.Rejected)
			}
		}
	}
	b.ReportMetric(float64(f.bytes)/20_000, "bytes/VM")
	b.ReportMetric(float64(f.bytes)*17_280/1e9, "GB/day")
}

// BenchmarkPublisher is what an agent with 20 VMs spends on a snapshot.
func BenchmarkPublisher(b *testing.B) {
	_, f := fleetOf(b, 1, 20, MaxBeats)
	h := f.hosts[0]
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		snap := f.measure(h)
		b.StartTimer()
		if _, err := NewDigest(h.pub.Next(snap, snap.Sequence-1)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkState writes down and reads a State of 20,000 VMs with full rings
// and details, as raft's snapshots do, and tells its size at rest and in memory.
func BenchmarkState(b *testing.B) {
	f, _ := ringOf(b, 1000)
	for _, h := range f.hosts {
		h.details = true
	}
	f.beat()
	data := encoded(b, f.s)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			encoded(b, f.s)
		}
		b.ReportMetric(float64(len(data))/1e6, "MB")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeState(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
		before := heap()
		s, _ := DecodeState(bytes.NewReader(data))
		b.ReportMetric(float64(heap()-before)/1e6, "MB-in-memory")
		runtime.KeepAlive(s)
	})
}

// BenchmarkConcerns asks of one entry of 100 hosts' figures for each of 1,000
// members whether it concerns it: what the leader does at every entry.
func BenchmarkConcerns(b *testing.B) {
	s, f := fleetOf(b, 1000, 20, 1)
	f.apply(byLeader, f.entry(f.hosts[:100]))
	for b.Loop() {
		for _, h := range f.hosts {
			if f.s.Concerns(s, h.id) {
				b.Fatal("figures concern a host")
			}
		}
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
