package cluster

import (
	"slices"
	"time"
	"unicode/utf8"
)

// Details are what a host knows of its VMs beyond the figures that every plan
// needs. They are larger than those, so they travel less often, and the State
// keeps only the newest of each host.
type Details struct {
	Window    time.Duration `json:"window"`    // that waits and culprits speak of
	Vitals    time.Duration `json:"vitals"`    // that block, memory and network speak of; 0: there are none yet
	Inventory uint64        `json:"inventory"` // revision that the slots refer to
	// Base is the sequence of the snapshot that brought the details which these
	// amend: a VM that is not listed keeps them. 0: these are whole.
	Base uint64   `json:"base,omitempty"`
	VMs  []Detail `json:"vms"` // sorted by slot
}

// Detail is one VM's: why it waits, behind whom, and what its disks, memory
// and network do.
type Detail struct {
	Slot     uint32    `json:"slot"`
	Waits    *Waits    `json:"waits,omitempty"`    // nil: the source knows no causes
	Culprits []Culprit `json:"culprits,omitempty"` // largest first, at most MaxCulprits
	Block    *Block    `json:"block,omitempty"`    // nil: not measured
	Memory   *Memory   `json:"memory,omitempty"`   // nil: not measured
	Network  *Network  `json:"network,omitempty"`  // nil: not measured
	// Quota is how many CPUs its own CFS quota leaves the VM, 0 without one.
	Quota MilliCPU `json:"quota,omitempty"`
	// Shares are the VM's CPU shares among the VMs of its host, 0 if they are the
	// usual or not known.
	Shares Shares `json:"shares,omitempty"`
}

// Waits splits a VM's wait by cause: what kept runnable vCPUs off their CPUs.
// Over the same window the parts make up [VMLoad.Wait], up to rounding.
type Waits struct {
	VMs          MilliCPU `json:"vms"`          // other VMs' threads
	Host         MilliCPU `json:"host"`         // tasks of the host
	Kernel       MilliCPU `json:"kernel"`       // kernel threads
	OwnVCPUs     MilliCPU `json:"own_vcpus"`    // its own other vCPUs
	OwnOthers    MilliCPU `json:"own_others"`   // its own emulator, iothreads, workers, vhost
	Quota        MilliCPU `json:"quota"`        // throttled by its own CFS quota
	SliceQuota   MilliCPU `json:"slice_quota"`  // throttled by a slice above it
	Idle         MilliCPU `json:"idle"`         // on the way from a wake-up to an idle CPU
	Migrated     MilliCPU `json:"migrated"`     // on other CPUs' run queues, behind whom is unknown
	Unattributed MilliCPU `json:"unattributed"` // behind nobody that was noted
}

// Culprit is somebody whom a VM waits behind.
type Culprit struct {
	VM    string `json:"vm,omitempty"`   // UUID of another VM of the host
	Task  string `json:"task,omitempty"` // name of a host's task, if it is no VM
	Share Ratio  `json:"share"`          // of the VM's whole wait
}

// MaxCulprits is how many culprits of a VM a snapshot names.
const MaxCulprits = 4

// Block is what a VM's disks did within the window.
type Block struct {
	Layer   BlockLayer   `json:"layer"`   // where Read, Write and Flush were measured
	Backend BlockBackend `json:"backend"` // where its disks lie
	// Shared names a backend that the VM would still use after a move, "" if its
	// disks are this host's own: moving it would not make it faster.
	Shared string `json:"shared,omitempty"`
	// Hidden is why the host's block layer does not see all of it as the VM's, ""
	// if it does.
	Hidden string       `json:"hidden,omitempty"`
	Read   BlockFigures `json:"read"`
	Write  BlockFigures `json:"write"`
	Flush  BlockFigures `json:"flush"`
}

// BlockLayer is where block latency was measured. Figures of unlike layers are
// not comparable: the guest's contain QEMU's own time.
type BlockLayer string

// The layers.
const (
	LayerDevice BlockLayer = "device" // the host's block layer, by eBPF
	LayerQEMU   BlockLayer = "qemu"   // libvirt's statistics: means only, every backend
)

// BlockBackend says where a VM's disks lie.
type BlockBackend string

// The backends.
const (
	BackendLocal   BlockBackend = "local"
	BackendNetwork BlockBackend = "network"
	BackendMixed   BlockBackend = "mixed"
	BackendUnknown BlockBackend = "unknown"
)

// BlockFigures are one kind of request within the window.
type BlockFigures struct {
	Requests uint64        `json:"requests"`
	Bytes    uint64        `json:"bytes,omitempty"`
	Errors   uint64        `json:"errors,omitempty"`
	Queue    time.Duration `json:"queue,omitempty"`  // mean time before the device got the request
	Device   time.Duration `json:"device,omitempty"` // mean time in the device
	P99      time.Duration `json:"p99,omitempty"`    // of the device time; 0: no distribution
	// Guest is the mean as QEMU serves it, 0 if unknown: queue, device and
	// QEMU's own time.
	Guest time.Duration `json:"guest,omitempty"`
}

// Memory is what a VM's memory did within the window.
type Memory struct {
	Resident    Bytes  `json:"resident"`
	Swapped     Bytes  `json:"swapped,omitempty"`      // a swapping VM is slow without any steal
	MajorFaults uint64 `json:"major_faults,omitempty"` // of QEMU, in the window
	Balloon     Bytes  `json:"balloon,omitempty"`      // what the balloon leaves the guest, 0 unknown
	// DirtyRate is how fast its memory changes, measured within the last ten
	// minutes; nil: it has not been a candidate for a move.
	DirtyRate *BytesPerSecond `json:"dirty_rate,omitempty"`
}

// Network is what passed a VM's interfaces within the window.
type Network struct {
	ReceivedBytes uint64 `json:"received_bytes"`
	SentBytes     uint64 `json:"sent_bytes"`
}

// VM returns what is known of the VM in a slot.
func (d *Details) VM(slot uint32) (Detail, bool) {
	if d == nil {
		return Detail{}, false
	}
	i, ok := slices.BinarySearchFunc(d.VMs, slot, func(d Detail, slot uint32) int { return int(d.Slot) - int(slot) })
	if !ok {
		return Detail{}, false
	}
	return d.VMs[i], true
}

// Detail returns what is known of the VM in a slot beyond its figures, and
// the window of its vitals. Details of another set of VMs are not believed.
func (h Host) Detail(slot uint32) (d Detail, vitals time.Duration, ok bool) {
	if h.Details == nil || h.Details.Inventory != h.Inventory.Revision {
		return Detail{}, 0, false
	}
	d, ok = h.Details.VM(slot)
	return d, h.Details.Vitals, ok
}

// ResidentOf is the memory that the VM in a slot holds, 0 if that is not known.
func (h Host) ResidentOf(slot uint32) Bytes {
	d, _, ok := h.Detail(slot)
	if !ok || d.Memory == nil {
		return 0
	}
	return d.Memory.Resident
}

// QuotaOf is how many CPUs its own quota leaves the VM in a slot, 0 without one or
// if that is not known.
func (h Host) QuotaOf(slot uint32) MilliCPU {
	d, _, _ := h.Detail(slot)
	return d.Quota
}

// SharesOf are the CPU shares of the VM in a slot, 0 if they are the usual or not
// known.
func (h Host) SharesOf(slot uint32) Shares {
	d, _, _ := h.Detail(slot)
	return d.Shares
}

// Resident is the memory that all VMs of the host hold; 0 if it is not known of
// all of them, or if there are none.
func (h Host) Resident() (sum Bytes) {
	for _, vm := range h.Inventory.VMs {
		if vm.Incoming {
			continue // it lives elsewhere
		}
		held := h.ResidentOf(vm.Slot)
		if held == 0 {
			return 0
		}
		sum += held
	}
	return sum
}

const maxTask = 16 // TASK_COMM_LEN

func (ds *Details) check(host string) error {
	switch {
	case ds == nil:
		return nil
	case len(ds.VMs) > MaxVMsPerHost:
		return refuse(CodeTooMany, "host %s: details of %d VMs, at most %d", host, len(ds.VMs), MaxVMsPerHost)
	case ds.Window <= 0 || ds.Window > maxWindow || ds.Vitals < 0 || ds.Vitals > maxWindow:
		return refuse(CodeAbsurdFigure, "host %s: details of windows of %v and %v", host, ds.Window, ds.Vitals)
	}
	for i, d := range ds.VMs {
		if i > 0 && d.Slot <= ds.VMs[i-1].Slot || d.Slot >= MaxSlot {
			return refuse(CodeAbsurdFigure, "host %s: details of slot %d are repeated, out of order or too large", host, d.Slot)
		}
		if what := d.Absurd(); what != "" {
			return refuse(CodeAbsurdFigure, "host %s: slot %d: %s", host, d.Slot, what)
		}
	}
	return nil
}

// Absurd names what cannot be true, or "". A snapshot with such a detail is
// refused whole.
func (d Detail) Absurd() string {
	switch {
	case len(d.Culprits) > MaxCulprits:
		return "too many culprits"
	case d.Quota < 0 || d.Quota > maxCPUs:
		return "quota out of bounds"
	case d.Shares < 0 || d.Shares > MaxShares:
		return "shares out of bounds"
	case d.Waits != nil && !d.Waits.sane():
		return "a cause of waits out of bounds"
	case d.Block != nil && !d.Block.sane():
		return "block figures out of bounds"
	case d.Memory != nil && !d.Memory.sane():
		return "memory figures out of bounds"
	case d.Network != nil && (d.Network.ReceivedBytes > maxCount || d.Network.SentBytes > maxCount):
		return "network figures out of bounds"
	}
	for _, c := range d.Culprits {
		if !c.sane() {
			return "a culprit without a name, with two, or with an impossible share"
		}
	}
	return ""
}

func (c Culprit) sane() bool {
	named := validID(c.VM) != (c.Task != "")
	return named && (c.VM == "" || validID(c.VM)) && len(c.Task) <= maxTask && utf8.ValidString(c.Task) && share(c.Share)
}

func (w *Waits) parts() []MilliCPU {
	return []MilliCPU{
		w.VMs, w.Host, w.Kernel, w.OwnVCPUs, w.OwnOthers, w.Quota, w.SliceQuota, w.Idle, w.Migrated, w.Unattributed,
	}
}

// Total is the whole wait.
func (w *Waits) Total() (sum MilliCPU) {
	for _, part := range w.parts() {
		sum += part
	}
	return sum
}

func (w *Waits) sane() bool {
	for _, m := range w.parts() {
		if m < 0 || m > maxCPUs {
			return false
		}
	}
	return true
}

func (b *Block) sane() bool {
	known := slices.Contains([]BlockLayer{LayerDevice, LayerQEMU}, b.Layer) &&
		slices.Contains([]BlockBackend{BackendLocal, BackendNetwork, BackendMixed, BackendUnknown}, b.Backend)
	return known && len(b.Shared) <= maxName && utf8.ValidString(b.Shared) &&
		len(b.Hidden) <= maxName && utf8.ValidString(b.Hidden) && b.Read.sane() && b.Write.sane() && b.Flush.sane()
}

func (f BlockFigures) sane() bool {
	for _, d := range []time.Duration{f.Queue, f.Device, f.P99, f.Guest} {
		if d < 0 || d > time.Hour {
			return false
		}
	}
	return f.Requests <= maxCount && f.Bytes <= maxCount && f.Errors <= maxCount
}

// maxCount bounds counts within a window; JSON numbers beyond 2^53 are not
// exact everywhere.
const maxCount = 1 << 53

func (m *Memory) sane() bool {
	for _, b := range []Bytes{m.Resident, m.Swapped, m.Balloon} {
		if b < 0 || b > MaxMemory {
			return false
		}
	}
	if d := m.DirtyRate; d != nil && (*d < 0 || *d > BytesPerSecond(MaxMemory)) {
		return false
	}
	return m.MajorFaults <= maxCount
}
