package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// VM is a virtual machine: its place, the load that was replicated, and
// counters that its host was asked for at this moment. A null counter says
// that the host did not answer; Message says why.
type VM struct {
	UUID    string  `json:"uuid"`
	Name    string  `json:"name"`
	Host    string  `json:"host"`    // name
	State   VMState `json:"state"`   // running, paused, other, moving, quarantined, duplicate or unknown
	Message string  `json:"message"` // why it is in that state, or why figures are missing

	VCPUs           int     `json:"vcpus"`              // online
	VCPUThreads     []int   `json:"vcpu_threads"`       // thread ids on its host
	VCPURunNSTotal  *uint64 `json:"vcpu_run_ns_total"`  // time that its vCPUs ran, since epoch
	VCPUWaitNSTotal *uint64 `json:"vcpu_wait_ns_total"` // time that its vCPUs were runnable and did not run
	VCPUWaitsTotal  *uint64 `json:"vcpu_waits_total"`   // how many times they waited
	// VCPUWaitCauseNSTotal splits the ended waits by cause; {} if the source
	// knows no causes.
	VCPUWaitCauseNSTotal map[string]uint64 `json:"vcpu_wait_cause_ns_total"`
	// VCPUWaitBehindNSTotal is the cause vm by VM: what its vCPUs waited behind
	// each, by UUID.
	VCPUWaitBehindNSTotal map[string]uint64 `json:"vcpu_wait_behind_ns_total"`
	// All threads of its QEMU by what they do: vcpu, emulator, iothread, vhost,
	// worker; {} if the source knows no roles.
	ThreadRunNSTotal  map[string]uint64 `json:"thread_run_ns_total"`
	ThreadWaitNSTotal map[string]uint64 `json:"thread_wait_ns_total"`
	Epoch             Time              `json:"epoch"`          // when these counters began at 0
	SampledAt         Time              `json:"sampled_at"`     // when these counters were read
	BlockCounters     *BlockCounters    `json:"block_counters"` // null: the kernel does not count its block I/O
	Source            cluster.Source    `json:"source"`         // of these counters: ebpf, sampled, sums, schedstat or none (docs/measurement.md)

	// The figures below are of the host's newest load snapshot.
	StealRatio         *float64         `json:"steal_ratio"`               // null: no figures of it
	StealRatioMax      *float64         `json:"steal_ratio_max"`           // of its worst vCPU
	ContentionRatio    *float64         `json:"contention_ratio"`          // the part of steal_ratio that is others' doing
	ContentionRatioMax *float64         `json:"contention_ratio_max"`      // of its worst vCPU
	WaitShares         *WaitShares      `json:"wait_shares"`               // why it waits; null: it does not, or the source knows no causes
	Culprits           []Culprit        `json:"culprits"`                  // behind whom, largest first
	RunQueueLatency    *RunQueueLatency `json:"run_queue_latency_seconds"` // null: no distribution
	CPUDemand          *float64         `json:"cpu_demand"`                // CPUs that it would use if nobody else were there
	CPUQuota           *float64         `json:"cpu_quota"`                 // CPUs that its own quota allows; null: no quota
	CPUShares          *float64         `json:"cpu_shares"`                // of the usual ones, 2 are twice as many; null: the usual ones, or not known
	Settling           bool             `json:"settling"`                  // it booted or came a moment ago: no reason to move anything yet
	Poller             bool             `json:"poller"`                    // its guest polls: what it runs is no demand for work
	Block              *Block           `json:"block"`                     // null: not measured
	Memory             *Memory          `json:"memory"`                    // null: not measured
	Network            *Network         `json:"network"`                   // null: not measured
	MemoryBytes        int64            `json:"memory_bytes"`              // current maximum
	DiskLock           cluster.DiskLock `json:"disk_lock"`                 // lockable, diskless or none
	AgeSeconds         *float64         `json:"age_seconds"`               // of the load snapshot
	Move               string           `json:"move"`                      // id of its live move, ""
	MovedAt            Time             `json:"moved_at"`                  // when its last move of ours ended
	Rule               *VMRule          `json:"rule"`                      // what evenkeel may do with it by itself; null: what holds for the cluster
}

// RunQueueLatency is how long its runnable vCPUs waited: quantiles in seconds.
type RunQueueLatency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// VMState is a VM's state as the cluster sees it.
type VMState string

// The states of a VM.
const (
	VMRunning     VMState = "running"
	VMPaused      VMState = "paused"
	VMOther       VMState = "other"
	VMMoving      VMState = "moving"      // a move of ours has it
	VMQuarantined VMState = "quarantined" // a move's outcome is unknown
	VMDuplicate   VMState = "duplicate"   // two hosts report it
	VMUnknown     VMState = "unknown"     // its host is silent
)

// vmOf gives what the State knows of a VM.
func vmOf(s cluster.State, uuid string, p cluster.Place, now cluster.Time) VM {
	out := VM{
		UUID: uuid, Name: uuid, State: VMUnknown, VCPUThreads: []int{}, VCPUWaitCauseNSTotal: map[string]uint64{},
		VCPUWaitBehindNSTotal: map[string]uint64{}, ThreadRunNSTotal: map[string]uint64{}, ThreadWaitNSTotal: map[string]uint64{}, Culprits: []Culprit{}, Source: cluster.SourceNone, MovedAt: timeOf(p.Moved), Rule: vmRuleOf(s, uuid),
	}
	live, moving := s.LiveMove(uuid)
	if moving {
		out.Move, out.Name, out.MemoryBytes = live.ID, live.VMName, int64(live.MaxMemory)
	}
	if len(p.Hosts) == 0 {
		out.Message = "no host reports it"
		return out
	}
	out.Host = s.HostName(p.Hosts[0])
	h, _ := s.Host(p.Hosts[0])
	vm, found := inventoried(h, uuid)
	if !found {
		out.Message = out.Host + " does not list it"
		return out
	}
	out.Name, out.VCPUs, out.MemoryBytes, out.DiskLock = vm.Name, vm.VCPUs, int64(vm.MaxMemory), vm.Lock
	out.State = VMState(vm.Run)
	out.load(h, vm, now)
	switch {
	case len(p.Hosts) > 1 && !moving:
		out.State, out.Message = VMDuplicate, "reported by "+strings.Join(hostNames(s, p.Hosts), " and ")
	case moving && live.State == cluster.MoveUnknown:
		out.State, out.Message = VMQuarantined, "the outcome of "+live.ID+" is unknown: see `evenkeel explain "+live.ID+"`"
	case moving:
		out.State, out.Message = VMMoving, fmt.Sprintf("%s to %s, %s", live.ID, s.HostName(live.Target), live.State)
	case !h.Fresh(now):
		out.State, out.Message = VMUnknown, out.Host+" is silent"
	}
	return out
}

func inventoried(h cluster.Host, uuid string) (cluster.VM, bool) {
	i := slices.IndexFunc(h.Inventory.VMs, func(v cluster.VM) bool { return v.UUID == uuid })
	if i < 0 {
		return cluster.VM{}, false
	}
	return h.Inventory.VMs[i], true
}

// load fills in the figures of the newest beat.
func (out *VM) load(h cluster.Host, vm cluster.VM, now cluster.Time) {
	beat, ok := h.Last()
	if !ok {
		return
	}
	age := seconds(now.Sub(beat.At))
	out.AgeSeconds = &age
	l, ok := beat.Load.VM(vm.Slot)
	if !ok || beat.Load.Inventory != h.Inventory.Revision {
		return
	}
	steal, worst, demand := l.Steal.Float(), l.StealMax.Float(), l.Demand.CPUs()
	contention, worstContention := l.Contention.Float(), l.ContentionMax.Float()
	out.ContentionRatio, out.ContentionRatioMax, out.Settling, out.Poller = &contention, &worstContention, l.Settling, l.Poller
	out.detail(h, l)
	out.StealRatio, out.StealRatioMax, out.CPUDemand, out.Source = &steal, &worst, &demand, beat.Load.Source
	if beat.Load.Source.Distribution() {
		out.RunQueueLatency = &RunQueueLatency{l.P50.Seconds(), l.P99.Seconds(), l.P999.Seconds()}
	}
}

// LocalVM is what a host's agent counts of one VM, at this moment.
type LocalVM struct {
	UUID    string `json:"uuid"`
	Name    string `json:"name"`
	Threads []int  `json:"threads"` // of the vCPUs, by number
	RunNS   uint64 `json:"run_ns"`  // Σ over vCPUs since Since
	WaitNS  uint64 `json:"wait_ns"`
	Waits   uint64 `json:"waits"`
	// CauseNS splits the ended waits by cause; empty if the source knows none.
	CauseNS  map[string]uint64 `json:"cause_ns"`
	BehindNS map[string]uint64 `json:"behind_ns"` // behind each other VM, by UUID
	// RoleRunNS and RoleWaitNS are of all its threads by what they do; empty if the
	// source does not tell.
	RoleRunNS  map[string]uint64 `json:"role_run_ns"`
	RoleWaitNS map[string]uint64 `json:"role_wait_ns"`
	Block      *BlockCounters    `json:"block"` // null: the kernel counts none
	Source     string            `json:"source"`
	Since      time.Time         `json:"since"`
	SampledAt  time.Time         `json:"sampled_at"`
}

// count fills in the live counters.
func (out *VM) count(l LocalVM) {
	out.VCPUThreads = some(l.Threads)
	out.VCPURunNSTotal, out.VCPUWaitNSTotal, out.VCPUWaitsTotal = &l.RunNS, &l.WaitNS, &l.Waits
	if l.CauseNS != nil {
		out.VCPUWaitCauseNSTotal = l.CauseNS
	}
	if l.RoleRunNS != nil && l.RoleWaitNS != nil {
		out.ThreadRunNSTotal, out.ThreadWaitNSTotal = l.RoleRunNS, l.RoleWaitNS
	}
	if l.BehindNS != nil {
		out.VCPUWaitBehindNSTotal = l.BehindNS
	}
	out.BlockCounters = l.Block
	out.Source, out.Epoch, out.SampledAt = cluster.Source(l.Source), Time{l.Since.UTC()}, Time{l.SampledAt.UTC()}
}

// names of VMs by UUID.
type names map[string]string

func (n names) of(uuid string) string {
	if name, ok := n[uuid]; ok {
		return name
	}
	return uuid
}

// vmNames collects what hosts call their VMs; a VM that is gone keeps the name
// of its newest move.
func vmNames(s cluster.State) names {
	out := names{}
	for _, m := range s.Moves() {
		out[m.VM] = m.VMName
	}
	for _, h := range s.Hosts() {
		for _, vm := range h.Inventory.VMs {
			out[vm.UUID] = vm.Name
		}
	}
	return out
}

// hostName is "" for no host.
func hostName(s cluster.State, id string) string {
	if id == "" {
		return ""
	}
	return s.HostName(id)
}

func hostNames(s cluster.State, ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = s.HostName(id)
	}
	return out
}

func sortByName[T any](list []T, name func(T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}
