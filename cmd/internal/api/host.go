package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Host is a hypervisor as the cluster knows it.
type Host struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	State   HostState `json:"state"`   // ok, suffering, silent or unmeasured
	Message string    `json:"message"` // why it is in that state
	Cordon  *Cordon   `json:"cordon"`  // null: VMs may come
	Fresh   bool      `json:"fresh"`   // its newest load snapshot still stands for the present

	// AgeSeconds is the age of the newest snapshot; null before the first. The
	// figures below are that snapshot's.
	AgeSeconds         *float64       `json:"age_seconds"`
	Source             cluster.Source `json:"source"`                // how waits are measured: ebpf, sampled, sums, schedstat or none (docs/measurement.md)
	WindowSeconds      float64        `json:"window_seconds"`        // that the figures below are of
	CPUs               float64        `json:"cpus"`                  // for VMs
	CPUUse             float64        `json:"cpu_use"`               // CPUs busy, everything counted
	CPUOverhead        float64        `json:"cpu_overhead"`          // of cpu_use: what no move can shift
	CPUInterrupts      float64        `json:"cpu_interrupts"`        // of cpu_overhead: interrupts on the CPUs for VMs
	CPUMeasuring       float64        `json:"cpu_measuring"`         // what evenkeel itself takes: probes and daemon
	Pressure           *Pressure      `json:"pressure"`              // null: the kernel does not say
	Processor          *Processor     `json:"processor"`             // null: the kernel does not say
	MemoryBytes        int64          `json:"memory_bytes"`          // for VMs
	MemoryUsedBytes    int64          `json:"memory_used_bytes"`     // maximum memory of its VMs and of those on their way, 256 MiB added for each
	StealRatio         float64        `json:"steal_ratio"`           // vCPU wait per vCPU and wall time
	StealRatioMax      float64        `json:"steal_ratio_max"`       // the worst vCPU
	ContentionRatio    float64        `json:"contention_ratio"`      // the part of steal_ratio that is others' doing
	ContentionRatioMax float64        `json:"contention_ratio_max"`  // the worst vCPU
	PainRatio          float64        `json:"pain_ratio"`            // what thresholds look at
	ExcessSeconds      float64        `json:"excess_seconds"`        // accumulated above the enter threshold
	WorstVM            string         `json:"worst_vm"`              // name
	RunQueueP99        float64        `json:"run_queue_p99_seconds"` // of the VM with the longest
	BookErrorRatio     float64        `json:"book_error_ratio"`      // difference between the probe and the kernel's own accounts, of the worst vCPU
	LostEvents         uint64         `json:"lost_events"`           // that the probe dropped in the window
	VMs                int            `json:"vms"`
	MovesInFlight      int            `json:"moves_in_flight"`
	Version            string         `json:"version"`
	Address            string         `json:"address"` // of Raft and agents' streams
	APIAddress         string         `json:"api_address"`
	MigrationAddress   string         `json:"migration_address"`
	LinkBytesPerSecond int64          `json:"link_bytes_per_second"` // of the network device with that address; 0: the kernel does not say
	Lab                bool           `json:"lab"`                   // part of a test fleet
	JoinedAt           Time           `json:"joined_at"`
}

// Processor is what a hypervisor's CPUs for VMs are.
type Processor struct {
	Model string `json:"model"`
	Cores int    `json:"cores"` // fewer than the CPUs where these are threads of cores (SMT)
	MHz   int    `json:"mhz"`   // what they hold when all are busy; 0: unknown
}

// HostState is a hypervisor's health.
type HostState string

// The states of a host.
const (
	HostOK         HostState = "ok"
	HostSuffering  HostState = "suffering"  // its VMs wait more than the enter threshold allows
	HostSilent     HostState = "silent"     // unknown: neither source nor target
	HostUnmeasured HostState = "unmeasured" // it speaks, but cannot measure waits
)

func hostOf(s cluster.State, h cluster.Host, now cluster.Time) Host {
	m, _ := s.Member(h.ID)
	out := Host{
		ID: h.ID, Name: s.HostName(h.ID), CPUs: m.CPUs.CPUs(), MemoryBytes: int64(m.Memory), MemoryUsedBytes: int64(s.Charge(h.ID).Most),
		Source: cluster.SourceNone, ExcessSeconds: seconds(h.Excess), VMs: residents(h.Inventory),
		Version: m.Version, Address: m.Address, APIAddress: m.APIAddress, MigrationAddress: m.MigrationAddress, LinkBytesPerSecond: int64(m.MigrationLink), Lab: m.Lab, JoinedAt: timeOf(m.JoinedAt),
	}
	if p := m.Processor; p != nil {
		out.Processor = &Processor{p.Model, p.Cores, p.MHz}
	}
	out.MovesInFlight, _ = s.InFlight(h.ID)
	beat, seen := h.Last()
	if seen {
		age := seconds(now.Sub(beat.At))
		out.AgeSeconds, out.Fresh = &age, h.Fresh(now)
		out.figures(h, beat.Load)
	}
	out.State, out.Message = HealthOf(s, h, now)
	if m.Hold != "" {
		out.Message = strings.TrimSuffix("held by its own word: "+m.Hold+"; "+out.Message, "; ")
	}
	if out.Cordon = cordonOf(s, h.ID); out.Cordon != nil {
		text := out.Cordon.message(out.VMs)
		if out.Message != "" {
			text += "; " + out.Message
		}
		out.Message = text
	}
	return out
}

func (out *Host) figures(h cluster.Host, l cluster.Load) {
	out.Source, out.CPUs, out.CPUUse, out.CPUOverhead = l.Source, l.CPUs.CPUs(), l.Use.CPUs(), l.Overhead.CPUs()
	out.MemoryBytes = int64(l.Memory)
	out.StealRatio, out.StealRatioMax, out.PainRatio = l.Steal.Float(), l.StealMax.Float(), l.Pain().Float()
	out.ContentionRatio, out.ContentionRatioMax = l.Contention.Float(), l.ContentionMax.Float()
	out.CPUInterrupts, out.CPUMeasuring, out.Pressure = l.Interrupts.CPUs(), l.Cost.CPUs(), pressureOf(l.Pressure)
	out.BookErrorRatio, out.LostEvents, out.WindowSeconds = l.BookError.Float(), l.Lost, l.Window.Seconds()
	worst := cluster.Ratio(-1)
	for _, v := range l.VMs {
		out.RunQueueP99 = max(out.RunQueueP99, v.P99.Seconds())
		vm, known := h.Inventory.BySlot(v.Slot)
		if pain := v.Pain(); known && pain > worst {
			worst, out.WorstVM = pain, vm.Name
		}
	}
}

// HealthOf is a hypervisor's health as the State has it, and the reason in words.
func HealthOf(s cluster.State, h cluster.Host, now cluster.Time) (HostState, string) {
	beat, seen := h.Last()
	switch {
	case !seen && h.Refused != nil:
		return HostSilent, "its snapshots are refused: " + h.Refused.Error()
	case !seen:
		return HostSilent, "no load snapshot since its daemon started"
	case !h.Fresh(now):
		return HostSilent, fmt.Sprintf("silent for %v", now.Sub(beat.At).Round(time.Second))
	case beat.Load.Source == cluster.SourceNone:
		return HostUnmeasured, "waits cannot be measured; see `evenkeel doctor` there"
	case h.RefusedAt > beat.At:
		return HostOK, "a later snapshot was refused: " + h.Refused.Error()
	}
	pain := beat.Load.Pain()
	if pain <= s.Settings.Enter {
		return HostOK, ""
	}
	if !h.Settled() {
		return HostSuffering, "figures still carry a move or a start"
	}
	return HostSuffering, fmt.Sprintf("above %v; excess %v of %v", s.Settings.Enter, h.Excess.Round(100*time.Millisecond), s.Settings.Sustained())
}

// residents counts the VMs that live on a host; those on their way to it do
// not yet.
func residents(inv cluster.Inventory) int {
	n := 0
	for _, vm := range inv.VMs {
		if !vm.Incoming {
			n++
		}
	}
	return n
}

func hostsOf(s cluster.State, now cluster.Time) []Host {
	out := []Host{}
	for _, h := range s.Hosts() {
		out = append(out, hostOf(s, h, now))
	}
	sortByName(out, func(h Host) string { return h.Name })
	return out
}
