package bpf

// Cause says what kept a runnable thread off its CPU.
type Cause uint8

// The causes of a wait. Together they make up the whole of it, to the
// nanosecond.
const (
	// CauseUnattributed is time that nothing accounts for: longer ago than the
	// CPU's book of runs goes back, or before it was begun.
	CauseUnattributed Cause = iota
	// CauseMigrated was spent on the run queue of another CPU, whose book could
	// not be asked.
	CauseMigrated
	// CauseIdle is time in which the CPU ran nothing: the way from the wake-up
	// to the CPU. Nobody else's doing.
	CauseIdle
	// CauseVM is other tracked VMs' threads; Culprits says whose.
	CauseVM
	// CauseHost is user tasks of no tracked VM.
	CauseHost
	// CauseKernel is kernel threads that serve no tracked VM.
	CauseKernel
	// CauseOwnVCPU is the VM's own other vCPUs.
	CauseOwnVCPU
	// CauseOwnOther is the VM's own threads that are no vCPUs: emulator,
	// iothreads, workers, vhost.
	CauseOwnOther
	// CauseQuota is CFS throttling, by the VM's own group or one above it.
	CauseQuota
	Causes // how many there are
)

// String is the cause's name as JSON and metrics show it.
func (c Cause) String() string {
	if c >= Causes {
		return "unknown"
	}
	return [Causes]string{
		"unattributed", "migrated", "idle", "vm", "host", "kernel", "own_vcpu", "own_other", "quota",
	}[c]
}

// Contention says whether waits of this cause are others' doing, which a move
// can end. What could not be attributed counts as theirs: on a busy host it
// mostly is.
func (c Cause) Contention() bool {
	switch c {
	case CauseUnattributed, CauseMigrated, CauseVM, CauseHost, CauseKernel:
		return true
	}
	return false
}

// Split is waiting time in nanoseconds by cause.
type Split [Causes]uint64

// Total is the whole wait.
func (s Split) Total() (ns uint64) {
	for _, part := range s {
		ns += part
	}
	return ns
}

// Contention is the part of the wait that is others' doing.
func (s Split) Contention() (ns uint64) {
	for c, part := range s {
		if Cause(c).Contention() {
			ns += part
		}
	}
	return ns
}

// Culprit is whom a VM's vCPUs waited behind, and for how long.
type Culprit struct {
	VM     string // UUID of another tracked VM, "" for a host task
	PID    int    // process id of a host task, 0 for a VM
	WaitNS uint64 // since the victim's epoch; falls only when the culprit is gone
}

// Role is what a thread of QEMU's does.
type Role uint8

// The roles. A thread whose role is not known yet is a worker.
const (
	RoleWorker   Role = iota // thread pool, VNC, migration, ...
	RoleVCPU                 // runs guest code
	RoleEmulator             // the main loop
	RoleIO                   // an iothread
	RoleVhost                // a vhost worker, in QEMU's process or beside it
	Roles                    // how many there are
)

// String is the role's name as JSON and metrics show it.
func (r Role) String() string {
	if r >= Roles {
		return "unknown"
	}
	return [Roles]string{"worker", "vcpu", "emulator", "iothread", "vhost"}[r]
}

// Feature is one thing that a probe can measure on this kernel.
type Feature struct {
	Name string // "culprits", "quota", "open-waits", ...
	On   bool
	Why  string // what it is taken from, or what the kernel lacks
}
