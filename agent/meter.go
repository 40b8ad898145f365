package agent

import (
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Meter counts what the threads of VMs run and wait.
type Meter interface {
	// Follow makes these the VMs that are counted. It is called every second,
	// since threads come and go; a VM whose counting cannot begin is left out
	// of the next readings, and the errors say why.
	Follow(guests []Guest) error
	// Read gives the counters of every VM that is followed.
	Read() (Reading, error)
	// ReadCulprits is Read with the VMs' Culprits, which cost a row of all VMs for each VM.
	ReadCulprits() (Reading, error)
	Source() cluster.Source
	Close() error
}

// Reading is every counter at one moment.
type Reading struct {
	At   time.Duration // CLOCK_BOOTTIME
	Lost uint64        // events dropped since the meter was opened
	Cost bpf.Cost      // of the probe since it was loaded; zero without one
	// Throttling says that the causes tell throttling by quotas from contention;
	// else the groups' own accounts are all that is known of it.
	Throttling bool
	// Listed says that the VMs' Culprits are; else they are not known.
	Listed bool
	VMs    map[string]VMReading
}

// VMReading holds one VM's counters. None of them ever falls while Since
// stays the same.
type VMReading struct {
	Since  time.Time // when counting began: the epoch of the counters
	RunNS  uint64    // Σ over vCPU threads, ended ones included
	WaitNS uint64
	Waits  uint64
	Causes bpf.Split              // of WaitNS; zero if the source knows no causes
	Others uint64                 // ns that its other threads ran
	Roles  [bpf.Roles]RoleReading // all its threads by what they do; zero if the source knows no roles
	VCPUs  []VCPUReading
	// Culprits are whom its vCPUs waited behind, with what they waited for each
	// since the epoch.
	Culprits []bpf.Culprit
}

// RoleReading is what the VM's threads of one role ran and waited, ended ones
// included, in ns.
type RoleReading struct{ RunNS, WaitNS uint64 }

// VCPUReading holds the counters of one vCPU's present thread.
type VCPUReading struct {
	TID     int
	RunNS   uint64 // ended runs
	WaitNS  uint64 // ended waits
	Waits   uint64
	Causes  bpf.Split     // of WaitNS; zero if the source knows no causes
	Latency bpf.Histogram // empty if the source has no distribution
	// The run or the wait that has not ended yet, and how much of that wait is
	// throttling. One of the first two is 0.
	OpenRunNS, OpenWaitNS, OpenQuotaNS uint64
	// AuditNS is the kernel's own run_delay of the thread (schedstat) at the very
	// moment of WaitNS, if Audited says so: no wait ended between the two reads.
	AuditNS uint64
	Audited bool
}
