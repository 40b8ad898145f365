package bpf

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Block counts the block I/O of tracked VMs when their requests complete. Its
// methods may be called from several goroutines; two of them on one kernel do
// not disturb each other.
//
// # What is counted
//
// Requests that the kernel's block layer completed, as /sys/block/*/stat counts
// them: a request that several bios were merged into is one, a bio that was
// split is several. Bytes are those completed, in error or well. A flush is a
// request without data: a flush of a device without a write cache ends without
// a request and is not counted; a write that asks to be flushed before or after
// (preflush, FUA emulated) is one write, whose device time includes both. The
// flush machinery's own requests serve several at once and are nobody's.
// Write-zeroes count as writes, as the kernel counts them; commands passed
// through (SG_IO) are not I/O here.
//
// Queue time is from the request's beginning, when it got its tag, until it was
// handed to the driver; device time from there to its completion. A flush is all
// device time: the machinery does not say when it began. Both are the request's
// own stamps, those that the kernel's disk statistics are made from. What the VM
// waited before (for a tag, a cgroup's limit, QEMU's main loop) is in neither.
//
// # Whose it is
//
// By the cgroup that the bio is charged to, if that cgroup is one VM's alone;
// this costs one hook for each I/O. Otherwise by the process that submitted it,
// noted when the request is made: a second hook, attached only while a VM needs
// it. I/O that a kernel thread submits for a process (writeback of the page
// cache, journals, io_uring's workers before 5.12) is then nobody's.
//
// # Which layer
//
// The one that the VM's own threads submitted to. Loop devices hand a request on
// in the same cgroup, so a VM that is seen to use one is told by the submitting
// process from the next Read on; until then its requests count below the loop
// device, never twice. Bio-based device mapper, md and bcache have no requests
// of their own: theirs count where they come to a real device, each copy and
// each part by itself. Request-based device mapper (multipath) counts at its paths.
type Block struct {
	coll     *ebpf.Collection
	links    map[string]link.Link // by the program's name
	features []Feature
	submit   string // the program that sees the submitter, "" if there is none
	issue    string // the program that sees the issue
	major    uint32 // of the device mapper
	ncpu     int
	// unstamped makes the program disregard the kernel's stamps at issue; tests
	// use it to see the hook at work.
	unstamped bool

	records, cpus, lost *ebpf.Memory

	mu       sync.Mutex
	detached bool
	vms      map[string]*blockVM
	free     []uint32
	resting  []blockRest
	epoch    uint32
	unsplit  uint64 // as of the last Read
	now      func() time.Time
	buf      []byte // as long as a record
}

// BlockOptions size the maps.
type BlockOptions struct {
	MaxVMs     int // VMs tracked at once; default 512, at most 4096; 8.4 KB of memory each
	MaxFlights int // requests under way that are noted at once; default 16384, at most 1<<20; 100 bytes each
}

// BlockTarget is a VM whose block I/O is to be counted.
type BlockTarget struct {
	VM  string // UUID
	PID int    // QEMU's process
	// Cgroup is the id of the cgroup that the VM's block I/O is charged to (the
	// inode number of its directory; blkio's of cgroup v1, else the nearest of
	// cgroup v2 with the io controller), 0 if it is not known or not the VM's
	// alone.
	Cgroup uint64
}

// Operation is what a request does.
type Operation uint8

// The operations, as the kernel's disk statistics group them.
const (
	Read Operation = iota
	Write
	Flush
	Discard
	Operations // how many there are
)

// String is the operation's name as JSON and metrics show it.
func (o Operation) String() string {
	if o >= Operations {
		return "unknown"
	}
	return [Operations]string{"read", "write", "flush", "discard"}[o]
}

// BlockCounters of one operation. None of them ever falls.
type BlockCounters struct {
	Requests, Bytes uint64
	Errors          uint64 // completions in error; a request that fails in parts has several
	QueueNS         uint64 // from a request's beginning to its issue
	DeviceNS        uint64 // from its issue to its completion
	// Queue and Device hold the same times of those requests that could be timed:
	// Device.Count() of them.
	Queue, Device Histogram
}

// MeanNS is the mean time of the requests that could be timed, queue and device
// together, 0 if there is none.
func (c BlockCounters) MeanNS() float64 {
	n := c.Device.Count()
	if n == 0 {
		return 0
	}
	return float64(c.QueueNS+c.DeviceNS) / float64(n)
}

// Sub is what came since an earlier reading of the same epoch.
func (c BlockCounters) Sub(o BlockCounters) BlockCounters {
	return BlockCounters{
		Requests: c.Requests - o.Requests, Bytes: c.Bytes - o.Bytes, Errors: c.Errors - o.Errors,
		QueueNS: c.QueueNS - o.QueueNS, DeviceNS: c.DeviceNS - o.DeviceNS,
		Queue: c.Queue.Sub(o.Queue), Device: c.Device.Sub(o.Device),
	}
}

// Attribution is how a VM's requests are told from others.
type Attribution uint8

// The attributions.
const (
	ByNobody    Attribution = iota // neither is possible: nothing is counted
	ByCgroup                       // by the cgroup that they are charged to
	BySubmitter                    // by the process that submitted them
)

// String is the attribution's name as JSON and metrics show it.
func (a Attribution) String() string {
	if a > BySubmitter {
		return "unknown"
	}
	return [...]string{"nobody", "cgroup", "submitter"}[a]
}

// BlockVM is one VM's counters.
type BlockVM struct {
	Since time.Time // when tracking began: the epoch of the counters
	Ops   [Operations]BlockCounters
	By    Attribution // as of now
}

// BlockReading is every counter at one moment.
type BlockReading struct {
	VMs map[string]BlockVM
	// Unattributed requests were completed for nobody who is tracked.
	Unattributed uint64
	// Lost requests of a submitter could not be noted for want of room, and were
	// then nobody's.
	Lost uint64
	// Requests that were counted and not timed: times that cannot be (above a day,
	// or begun after they ended), begun before tracking, or on a queue that keeps
	// no times (queue/iostats is 0).
	Absurd, Future, Early, Untimed uint64
	// Unsplit requests count as device time altogether: nobody had noted their
	// issue. If the kernel itself does not, the next ones are noted by a hook.
	Unsplit uint64
	Cost    Cost // of all hooks together; Missed requests were not seen at all
}

// Features says what the probe measures on this kernel, found by asking the
// kernel's type information, never its version.
func (b *Block) Features() []Feature { return slices.Clone(b.features) }

// Detach stops counting; the counters stay readable. Tests use it to see
// themselves fail.
func (b *Block) Detach() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.detached = true
	var errs []error
	for name, l := range b.links {
		errs = append(errs, l.Close())
		delete(b.links, name)
	}
	return errors.Join(errs...)
}

// Close detaches the programs and frees the maps.
func (b *Block) Close() error {
	err := b.Detach()
	if b.coll != nil {
		b.coll.Close()
	}
	return err
}

// attach hooks a program up unless it is.
func (b *Block) attach(name string) error {
	if b.detached || b.links[name] != nil {
		return nil
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: b.coll.Programs[name]})
	if err != nil {
		return fmt.Errorf("attach %s: %w", name, explain(err))
	}
	b.links[name] = l
	return nil
}

// release takes a program off its hook.
func (b *Block) release(name string) error {
	l := b.links[name]
	if l == nil {
		return nil
	}
	delete(b.links, name)
	return l.Close()
}
