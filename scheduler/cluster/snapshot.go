package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
	"unicode/utf8"
)

// Snapshot is what a host publishes: windowed figures of itself and its VMs.
// VMs travel by slot; the inventory that gives the slots their meaning rides
// along when it changed.
type Snapshot struct {
	Host        string `json:"host"` // member UUID
	Incarnation uint64 `json:"incarnation"`
	Sequence    uint64 `json:"sequence"`
	// Base is the sequence of the snapshot that this one amends: a VM that is not
	// listed keeps its figures. 0: this one is whole.
	Base      uint64     `json:"base,omitempty"`
	Inventory *Inventory `json:"inventory,omitempty"`
	Load      Load       `json:"load"`
	Details   *Details   `json:"details,omitempty"` // nil: as before
}

// Inventory is the set of VMs with a QEMU process on a host.
type Inventory struct {
	Revision uint64 `json:"revision"` // rises by any amount with every change; 0 means none yet
	VMs      []VM   `json:"vms"`      // sorted by slot
}

// BySlot finds a VM by its slot.
func (inv Inventory) BySlot(slot uint32) (VM, bool) {
	i, ok := sort.Find(len(inv.VMs), func(i int) int { return cmp.Compare(slot, inv.VMs[i].Slot) })
	if !ok {
		return VM{}, false
	}
	return inv.VMs[i], true
}

// VM is a virtual machine as its host describes it.
type VM struct {
	Slot       uint32   `json:"slot"` // small number, the host's own, stable while the VM is there
	UUID       string   `json:"uuid"` // the key; names are data
	Name       string   `json:"name"`
	VCPUs      int      `json:"vcpus"` // online
	MaxMemory  Bytes    `json:"max_memory"`
	Run        RunState `json:"run"`
	Incoming   bool     `json:"incoming,omitempty"` // a migration brings it here; it lives elsewhere
	Migrating  bool     `json:"migrating,omitempty"`
	Persistent bool     `json:"persistent,omitempty"`
	Lock       DiskLock `json:"lock"`
}

// RunState is a VM's state on its host.
type RunState string

// The run states.
const (
	RunRunning RunState = "running"
	RunPaused  RunState = "paused"
	RunOther   RunState = "other"
)

// DiskLock says what keeps a second copy of a VM from writing its disks.
type DiskLock string

// The kinds of lock.
const (
	LockNone     DiskLock = "none"     // nothing would
	LockDiskless DiskLock = "diskless" // there is no writable disk to protect
	LockLockable DiskLock = "lockable" // every writable disk has a lock that both ends respect
)

// Source says how CPU waits were measured.
type Source string

// The sources, best first.
const (
	SourceEBPF      Source = "ebpf"
	SourceSampled   Source = "sampled"   // exact sums and distribution; culprits from a part of the waits
	SourceSums      Source = "sums"      // exact sums and distribution, no causes: the probe has cost too much
	SourceSchedstat Source = "schedstat" // exact sums, no distribution
	SourceNone      Source = "none"      // nothing could be measured
)

// Causes says whether the source tells whom waits were behind.
func (s Source) Causes() bool { return s == SourceEBPF || s == SourceSampled }

// Distribution says whether the source tells how long single waits were.
func (s Source) Distribution() bool { return s.Causes() || s == SourceSums }

// Pressure is the host's pressure stall information: the share of the window
// in which some task stalled, or all did.
type Pressure struct {
	CPUSome    Ratio `json:"cpu_some"`
	MemorySome Ratio `json:"memory_some"`
	MemoryFull Ratio `json:"memory_full"`
	IOSome     Ratio `json:"io_some"`
	IOFull     Ratio `json:"io_full"`
}

func (p *Pressure) sane() bool {
	return p == nil || share(p.CPUSome) && share(p.MemorySome) && share(p.MemoryFull) && share(p.IOSome) && share(p.IOFull)
}

// Load is a host's figures over a window.
type Load struct {
	TakenAt   Time          `json:"taken_at"`  // the host's own clock, only to find skew
	Window    time.Duration `json:"window"`    // length of the sliding window
	NextIn    time.Duration `json:"next_in"`   // promise: the next snapshot comes within this
	Inventory uint64        `json:"inventory"` // revision that the slots refer to
	Source    Source        `json:"source"`
	Lost      uint64        `json:"lost,omitempty"`       // events that the probe dropped in the window
	BookError Ratio         `json:"book_error,omitempty"` // |eBPF − schedstat| over the window, of the vCPUs' wait

	Cost MilliCPU `json:"cost,omitempty"` // what measuring takes: probes and daemon

	CPUs       MilliCPU  `json:"cpus"`                 // capacity for VMs
	Use        MilliCPU  `json:"use"`                  // busy on those CPUs, everything counted
	Overhead   MilliCPU  `json:"overhead"`             // of Use, what no move can shift: host tasks, interrupts
	Interrupts MilliCPU  `json:"interrupts,omitempty"` // of Overhead: interrupts and softirqs on those CPUs
	Memory     Bytes     `json:"memory"`               // capacity for VMs
	Pressure   *Pressure `json:"pressure,omitempty"`   // nil: the kernel does not say
	// Steal is Σ vCPU wait / (Σ vCPUs × window) of the host's running VMs,
	// StealMax the worst vCPU of any of them.
	Steal    Ratio `json:"steal"`
	StealMax Ratio `json:"steal_max"`
	// Contention is the part of Steal that is others' doing, of the VMs that
	// have settled; ContentionMax the worst vCPU of any of those. Decisions look
	// at these. Where the source knows no causes they are the whole steal.
	Contention    Ratio    `json:"contention"`
	ContentionMax Ratio    `json:"contention_max"`
	VMs           []VMLoad `json:"vms"` // sorted by slot; a VM that is not listed is unknown, not idle
}

// VMLoad is one VM's figures over the window.
type VMLoad struct {
	Slot uint32 `json:"slot"`
	// Settling says that the VM has booted or come a moment ago, and that its
	// figures are no reason to move anything yet.
	Settling bool `json:"settling,omitempty"`
	// Poller says that its vCPUs never sleep because the guest polls: what they
	// run is no demand for work.
	Poller   bool     `json:"poller,omitempty"`
	Run      MilliCPU `json:"run"`       // Σ run of the vCPU threads
	Wait     MilliCPU `json:"wait"`      // Σ wait (runnable, not running) of the vCPU threads
	Others   MilliCPU `json:"others"`    // Σ run of its other threads (emulator, workers)
	Demand   MilliCPU `json:"demand"`    // between Run and Run + contention, see [Demand]
	Steal    Ratio    `json:"steal"`     // Wait per vCPU and wall time
	StealMax Ratio    `json:"steal_max"` // the worst vCPU
	// Contention is the part of Steal that is others' doing: not its own
	// threads', not its quota's, not the way from a wake-up to an idle CPU.
	Contention    Ratio `json:"contention"`
	ContentionMax Ratio `json:"contention_max"` // the worst vCPU
	// Run-queue latency of the vCPU threads: quantiles over the window, 0 if no
	// wait was seen or the source has no distribution.
	P50  time.Duration `json:"p50,omitempty"`
	P99  time.Duration `json:"p99,omitempty"`
	P999 time.Duration `json:"p999,omitempty"`
}

// Pain is the figure that thresholds look at: the larger of the mean contention
// and half of the worst vCPU's (spec: figures with one meaning).
func (l Load) Pain() Ratio { return max(l.Contention, l.ContentionMax/2) }

// Pain is the same figure of one VM.
func (v VMLoad) Pain() Ratio { return max(v.Contention, v.ContentionMax/2) }

// Demand estimates how much CPU a vCPU would use if nobody else were there: run
// for a vCPU that slept longer than others made it wait (fixed-rate work does
// not grow when its wait vanishes), run + contention for one that never slept,
// linear between. All three are times within the same window.
//
// Worked, in 10 s: it ran 4 s, waited 5 s behind others and slept 1 s: 8 s, that
// is 0.8 CPUs. Had it slept 6 s it would want its 4 s. Throttled by its own
// quota for 6 s it wants no more than it gets: 4 s.
func Demand(run, contention, sleep time.Duration) time.Duration {
	if contention <= 0 || sleep >= contention {
		return run
	}
	return run + contention - max(sleep, 0)
}

// VM returns the figures of the VM in a slot.
func (l Load) VM(slot uint32) (VMLoad, bool) {
	i, ok := sort.Find(len(l.VMs), func(i int) int { return cmp.Compare(slot, l.VMs[i].Slot) })
	if !ok {
		return VMLoad{}, false
	}
	return l.VMs[i], true
}

// Bounds of what a host may claim. A figure outside is refused, not clamped:
// whoever sends it measures wrongly in ways that we cannot guess.
const (
	MaxVMsPerHost = 4096
	MaxSlot       = 1 << 16
	MaxVCPUs      = 4096
	maxCPUs       = MilliCPU(1 << 14 * 1000)
	MaxMemory     = Bytes(1) << 50 // of a host or VM
	maxWindow     = 10 * time.Minute
	maxName       = 256
)

// check refuses a snapshot whose figures cannot be true.
func (s *Snapshot) check() error {
	if !validID(s.Host) {
		return refuse(CodeAbsurdFigure, "snapshot: host id %.40q is no UUID", s.Host)
	}
	if inv := s.Inventory; inv != nil {
		if err := inv.check(s.Host); err != nil {
			return err
		}
	}
	if err := s.Load.check(s.Host); err != nil {
		return err
	}
	return s.Details.check(s.Host)
}

func (inv *Inventory) check(host string) error {
	if len(inv.VMs) > MaxVMsPerHost {
		return refuse(CodeTooMany, "host %s: %d VMs, at most %d", host, len(inv.VMs), MaxVMsPerHost)
	}
	if inv.Revision == 0 {
		return refuse(CodeAbsurdFigure, "host %s: inventory revision 0", host)
	}
	seen := make(map[string]struct{}, len(inv.VMs))
	for i, vm := range inv.VMs {
		if err := vm.check(); err != nil {
			return refuse(CodeAbsurdFigure, "host %s: VM %.40q: %v", host, vm.UUID, err)
		}
		if i > 0 && vm.Slot <= inv.VMs[i-1].Slot {
			return refuse(CodeAbsurdFigure, "host %s: slot %d is repeated or out of order", host, vm.Slot)
		}
		if _, dup := seen[vm.UUID]; dup {
			return refuse(CodeAbsurdFigure, "host %s: VM %s is listed twice", host, vm.UUID)
		}
		seen[vm.UUID] = struct{}{}
	}
	return nil
}

func (vm VM) check() error {
	switch {
	case !validID(vm.UUID):
		return refuse(CodeAbsurdFigure, "not a UUID")
	case vm.Slot >= MaxSlot:
		return refuse(CodeAbsurdFigure, "slot %d, at most %d", vm.Slot, MaxSlot-1)
	case vm.Name == "" || len(vm.Name) > maxName || !utf8.ValidString(vm.Name):
		return refuse(CodeAbsurdFigure, "name is empty, longer than %d bytes or not UTF-8", maxName)
	case vm.VCPUs < 0 || vm.VCPUs > MaxVCPUs:
		return refuse(CodeAbsurdFigure, "%d vCPUs", vm.VCPUs)
	case vm.MaxMemory < 0 || vm.MaxMemory > MaxMemory:
		return refuse(CodeAbsurdFigure, "memory of %d bytes", vm.MaxMemory)
	case !slices.Contains([]RunState{RunRunning, RunPaused, RunOther}, vm.Run):
		return refuse(CodeAbsurdFigure, "run state %.20q", vm.Run)
	case !slices.Contains([]DiskLock{LockNone, LockDiskless, LockLockable}, vm.Lock):
		return refuse(CodeAbsurdFigure, "disk lock %.20q", vm.Lock)
	}
	return nil
}

func (l *Load) check(host string) error {
	switch {
	case !l.TakenAt.Valid():
		return refuse(CodeAbsurdFigure, "host %s: taken at %d", host, l.TakenAt)
	case l.Window <= 0 || l.Window > maxWindow:
		return refuse(CodeAbsurdFigure, "host %s: window of %v", host, l.Window)
	case l.NextIn <= 0 || l.NextIn > MaxSilence:
		return refuse(CodeAbsurdFigure, "host %s: promises the next snapshot in %v", host, l.NextIn)
	case !slices.Contains([]Source{SourceEBPF, SourceSampled, SourceSums, SourceSchedstat, SourceNone}, l.Source):
		return refuse(CodeAbsurdFigure, "host %s: source %.20q", host, l.Source)
	case l.CPUs <= 0 || l.CPUs > maxCPUs:
		return refuse(CodeAbsurdFigure, "host %s: %d milli-CPUs", host, l.CPUs)
	case l.Use < 0 || l.Use > maxCPUs || l.Overhead < 0 || l.Overhead > maxCPUs || l.Interrupts < 0 || l.Interrupts > maxCPUs || l.Cost < 0 || l.Cost > maxCPUs:
		return refuse(CodeAbsurdFigure, "host %s: use %d, overhead %d milli-CPUs", host, l.Use, l.Overhead)
	case l.Memory < 0 || l.Memory > MaxMemory:
		return refuse(CodeAbsurdFigure, "host %s: memory of %d bytes", host, l.Memory)
	case !share(l.Steal) || !share(l.StealMax) || l.BookError < 0:
		return refuse(CodeAbsurdFigure, "host %s: steal %d, worst %d, book error %d ppm", host, l.Steal, l.StealMax, l.BookError)
	case !share(l.Contention) || !share(l.ContentionMax):
		return refuse(CodeAbsurdFigure, "host %s: contention %d, worst %d ppm", host, l.Contention, l.ContentionMax)
	case !l.Pressure.sane():
		return refuse(CodeAbsurdFigure, "host %s: pressure beyond the whole", host)
	case len(l.VMs) > MaxVMsPerHost:
		return refuse(CodeTooMany, "host %s: figures of %d VMs, at most %d", host, len(l.VMs), MaxVMsPerHost)
	}
	for i, v := range l.VMs {
		if i > 0 && v.Slot <= l.VMs[i-1].Slot || v.Slot >= MaxSlot {
			return refuse(CodeAbsurdFigure, "host %s: slot %d is repeated, out of order or too large", host, v.Slot)
		}
		if what := v.Absurd(); what != "" {
			return refuse(CodeAbsurdFigure, "host %s: slot %d: %s", host, v.Slot, what)
		}
	}
	return nil
}

// Absurd names what cannot be true, or "". A snapshot with such figures is
// refused whole.
func (v VMLoad) Absurd() string {
	if v.sane() {
		return ""
	}
	return fmt.Sprintf("run %d, wait %d, demand %d milli-CPUs, steal %d, contention %d ppm", v.Run, v.Wait, v.Demand, v.Steal, v.Contention)
}

func (v VMLoad) sane() bool {
	for _, m := range []MilliCPU{v.Run, v.Wait, v.Others, v.Demand} {
		if m < 0 || m > maxCPUs {
			return false
		}
	}
	for _, d := range []time.Duration{v.P50, v.P99, v.P999} {
		if d < 0 || d > time.Hour {
			return false
		}
	}
	return share(v.Steal) && share(v.StealMax) && share(v.Contention) && share(v.ContentionMax) &&
		v.Contention <= v.Steal+Percent(1) && v.ContentionMax <= v.StealMax+Percent(1)
}

// share bounds a ratio of wall time; 1 % above the whole is a clock's error.
func share(r Ratio) bool { return r >= 0 && r <= Whole+Percent(1) }

// validID says whether s is a UUID in canonical lower-case text form.
func validID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}
