package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// quietShare is how many of the VMs stay as they are from beat to beat.
const quietShare = 0.8

// host is a hypervisor that is only played: its VMs' figures wander.
type host struct {
	index int
	id    string
	rng   *rand.Rand
	seq   uint64
	vms   []cluster.VM
	loads []cluster.VMLoad
}

func newHost(i, vms int) *host {
	h := &host{index: i, id: fmt.Sprintf("d0000000-0000-4000-8000-%012d", i), rng: rand.New(rand.NewPCG(1, uint64(i)))}
	for n := range vms {
		h.vms = append(h.vms, cluster.VM{
			Slot: uint32(n), UUID: fmt.Sprintf("b%07d-0000-4000-8000-%012d", i, n), Name: fmt.Sprintf("vm-%d-%d", i, n), VCPUs: 2,
			MaxMemory: cluster.GiB, Run: cluster.RunRunning, Persistent: true, Lock: cluster.LockLockable,
		})
		h.loads = append(h.loads, cluster.VMLoad{Slot: uint32(n)})
		h.stir(&h.loads[n])
	}
	return h
}

func (h *host) member() cluster.Member {
	return cluster.Member{
		ID: h.id, Name: fmt.Sprint("hv", h.index), Role: cluster.RoleHypervisor, Incarnation: 1, Level: cluster.CurrentLevel, Version: "bench",
		APIAddress: "10.0.0.1:7470", Address: "10.0.0.1:7471", CPUs: 32_000, Memory: 256 * cluster.GiB,
		MigrationAddress: "10.0.0.1", MigrationPeerURI: "qemu+tls://10.0.0.1/system", MigrationURI: "tcp://10.0.0.1",
	}
}

// stir gives a VM other figures.
func (h *host) stir(v *cluster.VMLoad) {
	v.Run = cluster.MilliCPU(h.rng.IntN(1500))
	v.Wait = cluster.MilliCPU(h.rng.IntN(100))
	v.Others = cluster.MilliCPU(h.rng.IntN(50))
	v.Demand = v.Run + v.Wait/2
	v.Steal = cluster.Ratio(v.Wait) * 1000 / 2
	v.StealMax = v.Steal * 3 / 2
	v.Contention, v.ContentionMax = v.Steal/2, v.StealMax/2
	v.P50 = time.Duration(h.rng.IntN(50)) * time.Microsecond
	v.P99, v.P999 = v.P50*20, v.P50*100
}

// beat is the host's next load snapshot.
func (h *host) beat(every time.Duration) cluster.Snapshot {
	h.seq++
	load := cluster.Load{
		TakenAt: cluster.TimeOf(time.Now()), Window: 10 * time.Second, NextIn: every, Inventory: 1, Source: cluster.SourceEBPF,
		Cost: 10, CPUs: 32_000, Overhead: 300, Interrupts: 100, Memory: 256 * cluster.GiB,
	}
	for i := range h.loads {
		if h.rng.Float64() > quietShare {
			h.stir(&h.loads[i])
		}
		v := h.loads[i]
		load.Use += v.Run + v.Others
		load.Steal += v.Steal / cluster.Ratio(len(h.loads))
		load.StealMax = max(load.StealMax, v.StealMax)
		load.VMs = append(load.VMs, v)
	}
	load.Contention, load.ContentionMax = load.Steal/2, load.StealMax/2
	return cluster.Snapshot{Host: h.id, Incarnation: 1, Sequence: h.seq, Load: load}
}

func (h *host) inventory() *cluster.Inventory { return &cluster.Inventory{Revision: 1, VMs: h.vms} }

// details is everything that is known of the VMs beside their figures.
func (h *host) details() *cluster.Details {
	d := &cluster.Details{Window: 10 * time.Second, Vitals: 10 * time.Second, Inventory: 1}
	for i, v := range h.loads {
		third := cluster.Ratio(333_333)
		next, after := h.vms[(i+1)%len(h.vms)], h.vms[(i+2)%len(h.vms)]
		d.VMs = append(d.VMs, cluster.Detail{
			Slot:  v.Slot,
			Waits: &cluster.Waits{VMs: v.Wait / 2, Host: v.Wait / 4, Kernel: v.Wait / 8, Idle: v.Wait / 8},
			Culprits: []cluster.Culprit{
				{VM: next.UUID, Share: third}, {VM: after.UUID, Share: third / 2}, {Task: "ksoftirqd/0", Share: third / 4},
			},
			Block: &cluster.Block{
				Layer: cluster.LayerDevice, Backend: cluster.BackendLocal,
				Read:  cluster.BlockFigures{Requests: uint64(v.Run), Bytes: uint64(v.Run) << 12, Queue: v.P50, Device: v.P99, P99: v.P999},
				Write: cluster.BlockFigures{Requests: uint64(v.Wait), Bytes: uint64(v.Wait) << 12, Queue: v.P50, Device: v.P99, P99: v.P999},
			},
			Memory:  &cluster.Memory{Resident: cluster.GiB / 2},
			Network: &cluster.Network{ReceivedBytes: uint64(v.Run) << 10, SentBytes: uint64(v.Run) << 9},
		})
	}
	return d
}
