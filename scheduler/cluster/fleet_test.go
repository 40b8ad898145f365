package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// fleet is hosts with figures that change like a real fleet's: a fifth of the
// VMs work and never rest, the others idle with a little noise. It publishes
// through each host's Publisher and every digest goes through its bytes.
type fleet struct {
	t     testing.TB
	s     State
	now   Time
	rng   *rand.Rand
	hosts []*fleetHost
	bytes int // of all digests so far
}

type fleetHost struct {
	id      string
	seq     uint64
	pub     Publisher
	base    []VMLoad
	vms     []VM
	details bool
}

// fleetOf plays beats of a fleet, 5 s apart.
func fleetOf(t testing.TB, hosts, vms, beats int) (State, *fleet) {
	f := &fleet{t: t, s: New(testCluster), now: epoch, rng: rand.New(rand.NewPCG(1, 2))}
	for i := range hosts {
		m := testHost(hv1)
		m.ID = fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
		m.Name, m.CPUs, m.Memory = m.ID, 64_000, 512*GiB
		f.apply(Actor{KindAgent, m.ID, ""}, Announce{testCluster, m})
		h := &fleetHost{id: m.ID}
		for j := range vms {
			vm := testVM(vmA)
			vm.Slot, vm.UUID, vm.Name = uint32(j), fmt.Sprintf("%08x-0000-4000-8000-%012x", i, j), fmt.Sprintf("web-%d-%d", i, j)
			h.vms = append(h.vms, vm)
			v := VMLoad{Slot: uint32(j), Run: 40, Demand: 44, Wait: 4, Others: 9, Steal: 4000, StealMax: 6000, Contention: 3000, ContentionMax: 5000, P50: 20_000, P99: 300_000, P999: 900_000}
			if busy(j) {
				v.Run, v.Demand, v.Wait, v.Steal, v.StealMax, v.Contention, v.ContentionMax = 3000, 3300, 300, 75_000, 120_000, 70_000, 110_000
			}
			h.base = append(h.base, v)
		}
		f.hosts = append(f.hosts, h)
	}
	for range beats {
		f.beat()
	}
	return f.s, f
}

func busy(slot int) bool { return slot%5 == 0 }

func (f *fleet) apply(by Actor, body Body) {
	next, err := f.s.Apply(Meta{Index: f.s.Index + 1, Term: 1}, Command{Level: 1, Actor: by, At: f.now, Body: body})
	if err != nil || next.Rejected > 0 {
		for _, h := range next.Hosts() {
			if h.Refused != nil {
				f.t.Fatalf("%s refused: %v", body.kind(), h.Refused)
			}
		}
		f.t.Fatalf("%s refused: %v", body.kind(), err)
	}
	f.s = next
}

// beat lets every host publish once, in entries of 100 hosts.
func (f *fleet) beat() {
	f.now = f.now.Add(5 * time.Second)
	for i := 0; i < len(f.hosts); i += 100 {
		f.apply(byLeader, f.entry(f.hosts[i:min(i+100, len(f.hosts))]))
	}
}

// entry makes an entry of hosts' digests, as the log would give it back.
func (f *fleet) entry(hosts []*fleetHost) Body {
	var batch []Digest
	for _, h := range hosts {
		d, err := NewDigest(f.snapshot(h))
		if err != nil {
			f.t.Fatal(err)
		}
		f.bytes += len(d.Bytes())
		batch = append(batch, d)
	}
	data, err := EncodeCommand(Command{Level: 1, At: f.now, Body: Digests{batch}})
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := DecodeCommand(data)
	if err != nil {
		f.t.Fatal(err)
	}
	return c.Body
}

func (f *fleet) snapshot(h *fleetHost) Snapshot {
	s := f.measure(h)
	return h.pub.Next(s, s.Sequence-1)
}

// measure is what a host sees of itself.
func (f *fleet) measure(h *fleetHost) Snapshot {
	h.seq++
	s := Snapshot{Host: h.id, Incarnation: 1, Sequence: h.seq, Load: Load{
		TakenAt: f.now, Window: 10 * time.Second, NextIn: 5 * time.Second, Inventory: 1, Source: SourceEBPF, CPUs: 64_000, Memory: 512 * GiB,
		Use: MilliCPU(f.noise(20_000, 10)), Overhead: MilliCPU(f.noise(800, 20)), Interrupts: MilliCPU(f.noise(90, 30)), Cost: MilliCPU(f.noise(60, 20)),
		Steal: Ratio(f.noise(20_000, 20)), StealMax: Ratio(f.noise(120_000, 20)), Contention: Ratio(f.noise(18_000, 20)), ContentionMax: Ratio(f.noise(110_000, 20)),
		Pressure: &Pressure{Ratio(f.noise(30_000, 30)), 0, 0, Ratio(f.noise(2000, 50)), Ratio(f.noise(1000, 50))},
	}}
	if h.seq == 1 {
		s.Inventory = &Inventory{Revision: 1, VMs: h.vms}
	}
	for j, v := range h.base {
		noise := 4
		if busy(j) {
			noise = 30
		}
		figures := v.figures()
		for i := range figures {
			figures[i] = f.noise(figures[i], noise)
		}
		v.setFigures(figures)
		v.Contention, v.ContentionMax, v.Demand = min(v.Contention, v.Steal), min(v.ContentionMax, v.StealMax), max(v.Demand, v.Run)
		s.Load.VMs = append(s.Load.VMs, v)
	}
	if h.details {
		s.Details = f.details(h)
	}
	return s
}

func (f *fleet) details(h *fleetHost) *Details {
	d := &Details{Window: 10 * time.Second, Vitals: 10 * time.Second, Inventory: 1}
	for j := range h.vms {
		v := fullDetail()
		v.Slot, v.Quota, v.Block.Shared, v.Block.Hidden, v.Culprits = uint32(j), 0, "", "", nil
		noise := 4
		if busy(j) {
			noise = 30
			v.Culprits = []Culprit{{VM: h.vms[(j+1)%len(h.vms)].UUID, Share: 500_000}, {Task: "ksmd", Share: 90_000}}
		}
		for _, group := range [][]field{v.Waits.fields(), v.Memory.fields(), v.Block.Read.fields(), v.Block.Write.fields()} {
			for _, x := range group {
				x.set(f.noise(x.get(), noise))
			}
		}
		d.VMs = append(d.VMs, v)
	}
	return d
}

// noise moves a figure by up to so many percent.
func (f *fleet) noise(v int64, percent int) int64 {
	return (v*int64(1000-10*percent+f.rng.IntN(20*percent+1)) + 500) / 1000
}
