package api

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// WaitShares split a VM's wait by cause, as shares of the whole wait.
type WaitShares struct {
	VMs          float64 `json:"vms"`          // behind other VMs
	Host         float64 `json:"host"`         // behind tasks of the host
	Kernel       float64 `json:"kernel"`       // behind kernel threads
	OwnVCPUs     float64 `json:"own_vcpus"`    // behind its own other vCPUs
	OwnOthers    float64 `json:"own_others"`   // behind its own emulator, iothreads, workers, vhost
	Quota        float64 `json:"quota"`        // throttled by its own CFS quota
	SliceQuota   float64 `json:"slice_quota"`  // throttled by a slice above it
	Idle         float64 `json:"idle"`         // on the way from a wake-up to an idle CPU
	Migrated     float64 `json:"migrated"`     // on other CPUs' run queues, behind whom is unknown
	Unattributed float64 `json:"unattributed"` // behind nobody that was noted
}

// Culprit is somebody whom a VM waits behind.
type Culprit struct {
	VM         string  `json:"vm"`          // name of another VM of the host, ""
	UUID       string  `json:"uuid"`        // of that VM, ""
	Task       string  `json:"task"`        // name of a host's task, ""
	ShareRatio float64 `json:"share_ratio"` // of the VM's whole wait
}

// Block is what a VM's disks did, per second of the window.
type Block struct {
	Layer   cluster.BlockLayer   `json:"layer"`   // where read, write and flush were measured: device (eBPF) or qemu (libvirt: means only)
	Backend cluster.BlockBackend `json:"backend"` // local, network, mixed or unknown
	Shared  string               `json:"shared"`  // the backend that it would still use after a move, ""
	Hidden  string               `json:"hidden"`  // why the host's block layer does not see all of it as the VM's, ""
	Read    BlockFigures         `json:"read"`
	Write   BlockFigures         `json:"write"`
	Flush   BlockFigures         `json:"flush"`
}

// BlockFigures are one kind of request. A latency is null where nothing was
// measured.
type BlockFigures struct {
	RequestsPerSecond float64  `json:"requests_per_second"`
	BytesPerSecond    float64  `json:"bytes_per_second"`
	Errors            uint64   `json:"errors"`                // in the window
	QueueSeconds      *float64 `json:"queue_seconds"`         // mean before the device got the request
	DeviceSeconds     *float64 `json:"device_seconds"`        // mean in the device
	DeviceP99Seconds  *float64 `json:"device_p99_seconds"`    //
	GuestSeconds      *float64 `json:"guest_visible_seconds"` // mean as QEMU serves it: contains QEMU's own time
}

// BlockCounters are what the host's block layer counted of a VM's requests
// since Epoch, each by operation: read, write, flush, discard.
type BlockCounters struct {
	By       string            `json:"by"`              // how the VM's requests are told from others': cgroup, submitter, or nobody: they are not
	Epoch    Time              `json:"epoch"`           // when these counters began at 0
	Requests map[string]uint64 `json:"requests_total"`  // as the kernel's disk statistics count them
	Bytes    map[string]uint64 `json:"bytes_total"`     //
	Errors   map[string]uint64 `json:"errors_total"`    // completions in error
	QueueNS  map[string]uint64 `json:"queue_ns_total"`  // from a request's beginning to its issue to the device
	DeviceNS map[string]uint64 `json:"device_ns_total"` // from its issue to its completion
}

// Memory is what a VM's memory did in the window.
type Memory struct {
	ResidentBytes        int64   `json:"resident_bytes"`
	SwappedBytes         int64   `json:"swapped_bytes"` // a swapping VM is slow without any steal
	BalloonBytes         *int64  `json:"balloon_bytes"` // what the balloon leaves the guest; null: unknown
	MajorFaultsPerSecond float64 `json:"major_faults_per_second"`
	// DirtyBytesPerSecond is how fast its memory changes; null: not measured, for
	// it has not been a candidate for a move lately.
	DirtyBytesPerSecond *float64 `json:"dirty_bytes_per_second"`
}

// Network is what passed a VM's interfaces, per second of the window.
type Network struct {
	ReceivedBytesPerSecond float64 `json:"received_bytes_per_second"`
	SentBytesPerSecond     float64 `json:"sent_bytes_per_second"`
}

// Pressure is a host's pressure stall information: the share of time in which
// some task stalled, or all did.
type Pressure struct {
	CPUSomeRatio    float64 `json:"cpu_some_ratio"`
	MemorySomeRatio float64 `json:"memory_some_ratio"`
	MemoryFullRatio float64 `json:"memory_full_ratio"`
	IOSomeRatio     float64 `json:"io_some_ratio"`
	IOFullRatio     float64 `json:"io_full_ratio"`
}

func pressureOf(p *cluster.Pressure) *Pressure {
	if p == nil {
		return nil
	}
	return &Pressure{p.CPUSome.Float(), p.MemorySome.Float(), p.MemoryFull.Float(), p.IOSome.Float(), p.IOFull.Float()}
}

// detail fills in what the host told of the VM beyond its figures.
func (out *VM) detail(h cluster.Host, v cluster.VMLoad) {
	d, window, ok := h.Detail(v.Slot)
	if !ok {
		return
	}
	if d.Waits != nil {
		out.WaitShares = sharesOf(*d.Waits)
	}
	for _, c := range d.Culprits {
		told := Culprit{UUID: c.VM, Task: c.Task, ShareRatio: c.Share.Float()}
		if vm, found := inventoried(h, c.VM); found {
			told.VM = vm.Name
		} else if c.VM != "" {
			told.VM = c.VM
		}
		out.Culprits = append(out.Culprits, told)
	}
	if d.Quota > 0 {
		quota := d.Quota.CPUs()
		out.CPUQuota = &quota
	}
	if d.Shares > 0 {
		shares := d.Shares.Factor()
		out.CPUShares = &shares
	}
	if b := d.Block; b != nil {
		out.Block = &Block{b.Layer, b.Backend, b.Shared, b.Hidden, figuresOf(b.Read, window), figuresOf(b.Write, window), figuresOf(b.Flush, window)}
	}
	if m := d.Memory; m != nil {
		out.Memory = &Memory{ResidentBytes: int64(m.Resident), SwappedBytes: int64(m.Swapped), MajorFaultsPerSecond: perSecond(m.MajorFaults, window)}
		if m.Balloon > 0 {
			balloon := int64(m.Balloon)
			out.Memory.BalloonBytes = &balloon
		}
		if m.DirtyRate != nil {
			dirty := float64(*m.DirtyRate)
			out.Memory.DirtyBytesPerSecond = &dirty
		}
	}
	if n := d.Network; n != nil {
		out.Network = &Network{perSecond(n.ReceivedBytes, window), perSecond(n.SentBytes, window)}
	}
}

// sharesOf is nil for a VM that did not wait.
func sharesOf(w cluster.Waits) *WaitShares {
	whole := w.Total()
	if whole == 0 {
		return nil
	}
	of := func(part cluster.MilliCPU) float64 { return float64(part) / float64(whole) }
	return &WaitShares{
		VMs: of(w.VMs), Host: of(w.Host), Kernel: of(w.Kernel), OwnVCPUs: of(w.OwnVCPUs), OwnOthers: of(w.OwnOthers),
		Quota: of(w.Quota), SliceQuota: of(w.SliceQuota), Idle: of(w.Idle), Migrated: of(w.Migrated), Unattributed: of(w.Unattributed),
	}
}

func figuresOf(f cluster.BlockFigures, window time.Duration) BlockFigures {
	return BlockFigures{
		RequestsPerSecond: perSecond(f.Requests, window), BytesPerSecond: perSecond(f.Bytes, window), Errors: f.Errors,
		QueueSeconds: known(f.Queue), DeviceSeconds: known(f.Device), DeviceP99Seconds: known(f.P99), GuestSeconds: known(f.Guest),
	}
}

// known is null for a latency that was not measured.
func known(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	s := d.Seconds()
	return &s
}

func perSecond(n uint64, window time.Duration) float64 {
	if window <= 0 {
		return 0
	}
	return float64(n) / window.Seconds()
}
