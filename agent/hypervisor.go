// Package agent is one host's side of evenkeel. Open an [Agent], give it the
// host's [Hypervisor], its probes and an uplink to the leader, and Run it: it
// measures what the VMs here suffer, publishes load snapshots, and carries
// out the moves that were ordered and claimed. It plans nothing.
package agent

import (
	"context"
	"errors"
	"time"
)

// Hypervisor is what the agent needs of this host's virtualisation manager.
// Every call honours its context; no call blocks the others.
type Hypervisor interface {
	// Guests lists the VMs that have a live QEMU process here, whatever their
	// run state. It asks no question that a hung QEMU monitor could block.
	Guests(ctx context.Context) ([]Guest, error)
	// Events streams lifecycle changes until ctx ends or the connection is
	// lost; then the channel is closed and the caller asks again.
	Events(ctx context.Context) (<-chan GuestEvent, error)
	// Stamp records the order's id in the VM's metadata, which travels with
	// it; it must not be called while the VM migrates.
	Stamp(ctx context.Context, vm, order string) error
	// Migrate starts a peer-to-peer live migration and blocks until libvirt's
	// call returns. It runs on a connection of its own. An error says only
	// that the call did not succeed: where the VM runs is what Look says, on
	// both hosts. When ctx ends the call is abandoned; the job goes on.
	Migrate(ctx context.Context, r MigrateRequest) error
	// Lets asks whether such a migration would be let begin, and begins none.
	// ErrBlocked and ErrUnsafe say that it would not; any other error says nothing
	// of it. A QEMU that hangs can hold it up.
	Lets(ctx context.Context, r MigrateRequest) error
	// Job reports the migration job that runs on the VM now; ErrNoJob if none.
	Job(ctx context.Context, vm string) (Job, error)
	// CompletedJob reports the statistics of the VM's last migration job, asked
	// at the host on which the VM ended; ErrNoJob if unknown.
	CompletedJob(ctx context.Context, vm string) (Job, error)
	// Abort asks libvirt to cancel the VM's job; ErrNoJob if there is none.
	Abort(ctx context.Context, vm string) error
	// PostCopy has the VM of a job that was begun so run on at the target at once,
	// which fetches the rest of its memory while it runs.
	PostCopy(ctx context.Context, vm string) error
	// Resume lets a paused VM run on.
	Resume(ctx context.Context, vm string) error
	// Definition reads what libvirt keeps of a VM; ErrNoVM if there is none.
	Definition(ctx context.Context, vm string) (Definition, error)
	// SetAutostart has libvirt start a VM with this host, or no more; ErrNoVM if
	// it has no such VM.
	SetAutostart(ctx context.Context, vm string, on bool) error
	// Look tells what is true of one VM on this host at this moment.
	Look(ctx context.Context, vm string) (Sighting, error)
}

// ErrNoJob means that no migration job is known for the VM.
var ErrNoJob = errors.New("no migration job")

// ErrBlocked means that the VM has something, or is in a state, with which
// libvirt or QEMU lets it go nowhere.
var ErrBlocked = errors.New("it is let go nowhere")

// ErrUnsafe means that libvirt takes a disk's cache mode for a danger.
var ErrUnsafe = errors.New("a disk's cache makes a migration unsafe")

// ErrDisconnected means that libvirt cannot be reached at the moment.
var ErrDisconnected = errors.New("libvirt is not reachable")

// RunState is a VM's state as libvirt reports it.
type RunState uint8

// The run states that matter to a move; every other state is RunStateOther.
const (
	RunStateAbsent  RunState = iota // no active domain with that UUID
	RunStateRunning                 // vCPUs may run
	RunStatePaused                  // paused, for whatever reason
	RunStateOther                   // shutting down, crashed, pmsuspended, ...
)

// Guest is a VM with a live QEMU process on this host.
type Guest struct {
	UUID  string // canonical lower-case text form: the key; names are only data
	Name  string // valid UTF-8 (other bytes escaped), at most 256 bytes
	State RunState
	PID   int // QEMU's process (thread group) id, 0 if it could not be found
	// VCPUThreads are the thread ids of vCPU 0, 1, ... (-1 for an offline one).
	VCPUThreads    []int
	MaxMemoryBytes int64 // current maximum (libvirt's <memory>), what admission counts
	Persistent     bool
	Migrating      bool   // a migration job, ours or another's, was running at the time of listing
	Incoming       bool   // paused here by an incoming migration: it lives elsewhere until that ends
	Diskless       bool   // it has no writable disk
	DisksLocked    bool   // it has writable disks, and each has a lock that both ends of a migration respect
	Order          string // id of the order that stamped it last, "" if none
}

// GuestEvent says that something changed for one VM; the agent re-lists.
type GuestEvent struct {
	UUID string
	What string // started, stopped, suspended, resumed, defined, undefined, migrated, ...
}

// MigrateRequest is one peer-to-peer live migration.
type MigrateRequest struct {
	VM                   string        // UUID
	PeerURI              string        // libvirt URI of the target, dialled by the source's libvirtd, e.g. qemu+tcp://10.99.0.3/system
	MigrateURI           string        // where the memory goes, e.g. tcp://10.99.0.3
	BandwidthBytesPerSec int64         // 0: libvirt's default
	MaxDowntime          time.Duration // 0: QEMU's default (300 ms)
	Persist              bool          // define it at the target (the VM is persistent)
	Undefine             bool          // and no longer at the source
	AutoConverge         bool          // slow its vCPUs down while it does not converge
	ArrivePaused         bool          // leave it paused at the target
	PostCopy             bool          // it may be switched to post-copy, see Hypervisor.PostCopy
	Parallel             int           // connections that its memory goes over at once; 0 and 1: one
	CopyDisks            []string      // the disks to copy along, by their targets ("vda"); the target has images for them
	DisksURI             string        // where these go; "": beside the memory
	TLS                  bool          // QEMU encrypts the memory's stream with the hosts' own certificates
	Unsafe               bool          // also if libvirt takes a disk's cache for a danger
}

// Job is the state of a migration job.
type Job struct {
	Incoming                                   bool // this host is the job's target
	Elapsed                                    time.Duration
	TotalBytes, ProcessedBytes, RemainingBytes int64
	DirtyBytesPerSec, BandwidthBytesPerSec     int64
	Iteration                                  int64
	ThrottlePercent                            int64         // by how much auto-converge slows the vCPUs now
	Downtime                                   time.Duration // measured, or expected while the job runs; 0 unknown
}

// Sighting is evidence: what this host sees of one VM now.
type Sighting struct {
	State             RunState
	Process           bool // a QEMU process with that UUID exists, whatever libvirt says
	PausedByMigration bool // State is paused and libvirt's reason is migration: in post-copy it never is, for then the source's memory is old
	JobRunning        bool // evidence counts only when no job runs
}
