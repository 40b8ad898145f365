package apitest

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// crowd are four busy VMs that share two CPUs.
func crowd() []Guest {
	return []Guest{guest(1, "db-01", 500), guest(2, "db-02", 500), guest(3, "batch-1", 500), guest(4, "web-1", 500)}
}

// World makes a fleet whose members' APIs listen at addresses, by member id.
type World func(addresses map[string]string) *Fleet

// Worlds are the fleets by name.
var Worlds = map[string]World{
	"empty": Empty, "calm": Calm, "suffering": Suffering, "lab": Lab, "running": Running, "moved": Moved, "unknown": Unknown, "paused": Paused, "causes": Causes, "fits": Fits, "ruled": Ruled,
}

// Empty is a fleet whose hypervisors have not spoken yet.
func Empty(addresses map[string]string) *Fleet { return New(addresses, false) }

// Suffering is a fleet in which hv1 starves four VMs while hv2 is idle, and
// evenkeel only recommends.
func Suffering(addresses map[string]string) *Fleet { return suffering(New(addresses, false)) }

// Calm is a fleet in which nobody suffers.
func Calm(addresses map[string]string) *Fleet {
	f := New(addresses, false).Wait(15 * time.Second)
	vms := crowd()
	for i := range vms {
		vms[i] = guest(0, vms[i].Name, 985).as(vms[i].UUID)
	}
	f.Beats(12, vms[:2], vms[2:])
	f.decide(cluster.ResultNothing, cluster.CodeBelowThreshold, "no known host suffers more than 10.0 %")
	return f
}

// Causes is a fleet whose host knows why its VMs wait: db-01 behind others,
// web-1 by its own quota.
func Causes(addresses map[string]string) *Fleet {
	f := New(addresses, false).Wait(15 * time.Second)
	vms := crowd()
	figures := cluster.BlockFigures{
		Requests: 1200, Bytes: 1200 * 4096, Queue: 310 * time.Microsecond, Device: 640 * time.Microsecond, P99: 4 * time.Millisecond, Guest: 1200 * time.Microsecond,
	}
	dirty := cluster.BytesPerSecond(38 * cluster.MiB)
	vms[0].Detail = &cluster.Detail{
		Waits: &cluster.Waits{VMs: 465, Host: 20, Idle: 1, Unattributed: 14},
		Culprits: []cluster.Culprit{
			{VM: vms[2].UUID, Share: 710_000}, {VM: vms[1].UUID, Share: 220_000}, {Task: "backup", Share: 30_000},
		},
		Block:   &cluster.Block{Layer: cluster.LayerDevice, Backend: cluster.BackendLocal, Read: figures},
		Memory:  &cluster.Memory{Resident: 900 * cluster.MiB, Swapped: 30 * cluster.MiB, MajorFaults: 55, Balloon: 768 * cluster.MiB, DirtyRate: &dirty},
		Network: &cluster.Network{ReceivedBytes: 10 << 20, SentBytes: 5 << 20},
	}
	vms[3].Contention = 10_000
	vms[3].Detail = &cluster.Detail{
		Waits: &cluster.Waits{VMs: 10, Quota: 490}, Quota: 500, Shares: 50,
		Block: &cluster.Block{
			Layer: cluster.LayerQEMU, Backend: cluster.BackendNetwork, Shared: "rbd vms", Hidden: "QEMU reaches it over the network itself (rbd)",
			Write: cluster.BlockFigures{Requests: 10, Bytes: 40960, Guest: 9 * time.Millisecond, Errors: 2},
		},
	}
	f.Burden = func(l *cluster.Load) {
		l.BookError = 2500
		l.Interrupts, l.Cost, l.Pressure = 40, 6, &cluster.Pressure{CPUSome: 700_000, MemorySome: 1000, IOSome: 84_000, IOFull: 21_000}
	}
	f.Beats(12, vms, nil)
	f.decide(cluster.ResultNothing, cluster.CodeModeRecommend, "mode is recommend: `evenkeel mode auto` lets evenkeel move VMs")
	return f
}

// Lab is Suffering as a test fleet.
func Lab(addresses map[string]string) *Fleet { return suffering(New(addresses, true)) }

func suffering(f *Fleet) *Fleet {
	f.Wait(15 * time.Second)
	f.Beats(12, crowd(), nil)
	for range 2 {
		f.decide(cluster.ResultRecommended, cluster.CodeModeRecommend, "mode is recommend: `evenkeel mode auto` lets evenkeel move VMs")
		f.Wait(time.Second)
	}
	return f
}

// order takes a suffering fleet to auto and orders the first move.
func order(addresses map[string]string) *Fleet {
	f := Suffering(addresses)
	f.Do(operator, cluster.SetMode{Mode: cluster.ModeAuto})
	f.Beats(1, crowd(), nil)
	f.decide(cluster.ResultMoved, "", reason)
	return f
}

const first = "m-1"

// Running is a fleet with a migration under way.
func Running(addresses map[string]string) *Fleet {
	f := order(addresses)
	target, source := agentOf(HV2), agentOf(HV1)
	f.Wait(200*time.Millisecond).Do(target, cluster.Reserve{Move: first})
	f.Wait(200*time.Millisecond).Do(source, cluster.Claim{Move: first, Incarnation: 1})
	f.Wait(100*time.Millisecond).Do(source, cluster.Start{Move: first})
	f.Wait(time.Second).Do(source, cluster.Advance{Move: first, Progress: cluster.Progress{
		Total: cluster.GiB, Processed: 700 * cluster.MiB, Remaining: 324 * cluster.MiB,
		DirtyRate: cluster.BytesPerSecond(8 * cluster.MiB), Bandwidth: cluster.BytesPerSecond(112 * cluster.MiB), Iteration: 2,
	}})
	return f
}

// Moved is a fleet whose first move is done and verified.
func Moved(addresses map[string]string) *Fleet {
	f := Running(addresses)
	m, _ := f.State.Move(first)
	f.Wait(3 * time.Second)
	f.Do(agentOf(HV1), cluster.EndJob{Move: first, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
	f.Wait(100 * time.Millisecond)
	f.Do(agentOf(HV2), cluster.Testify{
		Move: first, Evidence: cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}, Downtime: 41 * time.Millisecond, Bytes: 1100 * cluster.MiB,
	})
	here, there := part(m.VM)
	f.Beats(25, here, there)
	measured := m.Predicted
	measured.VMContentionAfter, measured.SourceContentionAfter, measured.TargetContentionAfter = 12_000, 331_000, 12_000
	measured.Duration, measured.Downtime, measured.Bytes = 4100*time.Millisecond, 41*time.Millisecond, 1100*cluster.MiB
	f.Do(agentOf(HV2), cluster.Verify{Move: first, Measured: &measured, Verdict: cluster.VerdictBetter})
	f.decide(cluster.ResultNothing, cluster.CodeCooldown, "every VM on hv1 that would help moved a short while ago")
	return f
}

// part is the crowd after one of it has moved.
func part(moved string) (here, there []Guest) {
	for _, g := range crowd() {
		if g.UUID == moved {
			there = append(there, guest(0, g.Name, 988).as(g.UUID))
			continue
		}
		here = append(here, guest(0, g.Name, 669).as(g.UUID))
	}
	return here, there
}

func (g Guest) as(uuid string) Guest {
	g.UUID = uuid
	return g
}

// Unknown is a fleet with a move whose outcome nobody knows, since its source
// went silent in the middle.
func Unknown(addresses map[string]string) *Fleet {
	f := Running(addresses)
	for range 12 * 60 {
		f.Wait(time.Second)
		f.Beat(HV2)
	}
	f.Do(agentOf(HV2), cluster.Expire{Move: first})
	return f
}

// Paused is a suffering fleet in auto that an operator has paused.
func Paused(addresses map[string]string) *Fleet {
	f := Suffering(addresses)
	f.Do(operator, cluster.SetMode{Mode: cluster.ModeAuto})
	f.Do(operator, cluster.Pause{Until: f.at.Add(2 * time.Hour), Text: "switch upgrade"})
	return f
}
