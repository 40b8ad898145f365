package agent

import (
	"context"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/agent/cgroup"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// vitals are one VM's slower counters: what takes a look at many files, or a
// question to libvirt, and is asked every few seconds only.
type vitals struct {
	block *bpf.BlockVM // nil: not counted in the kernel
	disks []DiskStats  // as libvirt tells; none: no disks, or no answer

	memory *procfs.Footprint // of QEMU; nil: not readable
	faults uint64            // major ones, of QEMU since it began
	stats  *GuestStats       // nil: libvirt did not answer
	polled *uint64           // ns of KVM's halt polling since it began; nil: not readable
	limits *cgroup.Limits    // nil: no quota, or unknown
	pid    int               // of QEMU: whose figures these are
}

// hostVitals are the host's own slower counters.
type hostVitals struct {
	interruptNS uint64 // on the CPUs for VMs
	pressure    *stalls
}

// stalls are the totals of pressure stall information, in ns since boot.
type stalls struct{ cpuSome, memorySome, memoryFull, ioSome, ioFull uint64 }

// GuestStats is what libvirt counts of a VM's memory and network.
type GuestStats struct {
	BalloonBytes int64 // what the balloon leaves the guest now; 0: unknown
	// Of all its interfaces since they were plugged, as the guest sees them;
	// Network is false where libvirt has no counters of one.
	Network                  bool
	ReceivedBytes, SentBytes uint64
}

// Disks tells what guests see of their disks.
type Disks interface {
	// Stats returns the disks of all active VMs, by UUID.
	Stats(ctx context.Context) (map[string][]DiskStats, error)
}

// gathering is all VMs' vitals at one moment.
type gathering struct {
	at   time.Duration // CLOCK_BOOTTIME
	host hostVitals
	vms  map[string]vitals
}

// A question to libvirt costs it and QEMU about half a millisecond of CPU for
// each VM, so the more VMs there are the less often they are asked: two
// questions of that each take a fifth of a per cent of a CPU, at most.
const (
	gatherPerVM    = 500 * time.Millisecond
	gatherSoonest  = 5 * time.Second
	gatherLatest   = time.Minute
	gatheredWindow = 3 // intervals that figures reach back
)

// gatherPause is how long to wait between two gatherings of so many VMs.
func gatherPause(vms int) time.Duration {
	return min(max(time.Duration(vms)*gatherPerVM, gatherSoonest), gatherLatest)
}

// gatherings keeps the last few, oldest first.
type gatherings struct{ list []gathering }

// add appends one. A clock that ran backwards or a long gap begins anew.
func (g *gatherings) add(next gathering) {
	window := gatheredWindow * gatherPause(len(next.vms))
	if n := len(g.list); n > 0 {
		if gap := next.at - g.list[n-1].at; gap <= 0 || gap > 2*window {
			g.list = nil
		}
	}
	g.list = append(g.list, next)
	for len(g.list) > 2 && next.at-g.list[1].at >= window {
		g.list = slices.Delete(g.list, 0, 1)
	}
}

// span is how long the window is, 0 before there is one.
func (g *gatherings) span() time.Duration {
	if n := len(g.list); n >= 2 {
		return g.list[n-1].at - g.list[0].at
	}
	return 0
}

// tell adds what the vitals say of a VM within the window; one that was not
// there at both ends has none.
func (g *gatherings) tell(d *cluster.Detail, vm string) {
	n := len(g.list)
	if n < 2 {
		return
	}
	then, was := g.list[0].vms[vm]
	now, is := g.list[n-1].vms[vm]
	if !was || !is {
		return
	}
	d.Block = blockOf(then, now)
	d.Memory = memoryOf(then, now)
	if d.Memory != nil && now.stats != nil {
		d.Memory.Balloon = cluster.Bytes(now.stats.BalloonBytes)
	}
	d.Network = networkOf(then, now)
	g.tellQuotas(d, vm)
}

// networkOf is what passed a VM's interfaces, nil if that is unknown. One that
// was unplugged takes its counters along; then nothing is said.
func networkOf(then, now vitals) *cluster.Network {
	t, n := then.stats, now.stats
	if t == nil || n == nil || !t.Network || !n.Network || n.ReceivedBytes < t.ReceivedBytes || n.SentBytes < t.SentBytes {
		return nil
	}
	return &cluster.Network{ReceivedBytes: n.ReceivedBytes - t.ReceivedBytes, SentBytes: n.SentBytes - t.SentBytes}
}

// halted is how long a VM's vCPUs have spun idly within a span of time, by how
// long they did within the window of the vitals; 0 where KVM does not tell.
func (g *gatherings) halted(vm string, span time.Duration) uint64 {
	n := len(g.list)
	if n < 2 || g.span() <= 0 {
		return 0
	}
	then, now := g.list[0].vms[vm], g.list[n-1].vms[vm]
	if then.polled == nil || now.polled == nil || then.pid != now.pid {
		return 0
	}
	return uint64(float64(less(*now.polled, *then.polled)) * float64(span) / float64(g.span()))
}

// tellHost adds what the vitals say of the host within the window.
func (g *gatherings) tellHost(l *cluster.Load) {
	n := len(g.list)
	if n < 2 {
		return
	}
	then, now, span := g.list[0].host, g.list[n-1].host, g.span()
	l.Interrupts = min(perWall(less(now.interruptNS, then.interruptNS), span), l.CPUs)
	if t, p := then.pressure, now.pressure; t != nil && p != nil {
		of := func(now, then uint64) cluster.Ratio { return ratio(less(now, then), uint64(span)) }
		l.Pressure = &cluster.Pressure{
			CPUSome: of(p.cpuSome, t.cpuSome), MemorySome: of(p.memorySome, t.memorySome), MemoryFull: of(p.memoryFull, t.memoryFull),
			IOSome: of(p.ioSome, t.ioSome), IOFull: of(p.ioFull, t.ioFull),
		}
	}
}

// memoryOf is what a VM's memory did within the window, nil if that is unknown.
func memoryOf(then, now vitals) *cluster.Memory {
	if then.memory == nil || now.memory == nil || then.pid != now.pid {
		return nil
	}
	return &cluster.Memory{
		Resident: cluster.Bytes(now.memory.ResidentBytes), Swapped: cluster.Bytes(now.memory.SwappedBytes),
		MajorFaults: less(now.faults, then.faults),
	}
}
