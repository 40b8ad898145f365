package agent

import (
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// A quarter of a CPU goes to interrupts, and something stalls on I/O for half
// of the time; memory does what its two ends say.
func TestVitalsOfTheWindow(t *testing.T) {
	g := gatherings{}
	for s := range uint64(6) { // a gathering every five seconds
		g.add(gathering{
			at: time.Duration(s) * 5 * time.Second,
			host: hostVitals{
				interruptNS: 1250 * ms * s,
				pressure:    &stalls{cpuSome: 5000 * ms * s, ioSome: 2500 * ms * s, ioFull: 500 * ms * s},
			},
			vms: map[string]vitals{vmID(0): {
				pid: 7, faults: 40 * s, memory: &procfs.Footprint{ResidentBytes: 1 << 30, SwappedBytes: int64(s) << 20},
			}},
		})
	}
	if g.span() != 15*time.Second || len(g.list) != 4 {
		t.Fatalf("%d gatherings over %v", len(g.list), g.span())
	}
	l := cluster.Load{CPUs: 8000}
	g.tellHost(&l)
	want := cluster.Pressure{CPUSome: cluster.Whole, IOSome: 500_000, IOFull: 100_000}
	if l.Interrupts != 250 || l.Pressure == nil || *l.Pressure != want {
		t.Errorf("interrupts %d, pressure %+v", l.Interrupts, l.Pressure)
	}
	var d cluster.Detail
	g.tell(&d, vmID(0))
	if d.Memory == nil || *d.Memory != (cluster.Memory{Resident: cluster.GiB, Swapped: 5 * cluster.MiB, MajorFaults: 120}) {
		t.Errorf("memory %+v", d.Memory)
	}
}

// What was not there at both ends, or is of another process, is unknown; and
// so is a pressure that the kernel does not account for.
func TestVitalsThatAreUnknown(t *testing.T) {
	g := gatherings{}
	var d cluster.Detail
	var l cluster.Load
	memory := &procfs.Footprint{ResidentBytes: 1}
	g.tell(&d, vmID(0))
	g.add(gathering{at: time.Second, vms: map[string]vitals{vmID(0): {pid: 7, memory: memory}}})
	g.tell(&d, vmID(0))
	g.tellHost(&l)
	g.add(gathering{at: 6 * time.Second, vms: map[string]vitals{vmID(0): {pid: 8, memory: memory}, vmID(1): {block: &bpf.BlockVM{}}}})
	g.tell(&d, vmID(0))
	g.tell(&d, vmID(1))
	g.tell(&d, vmID(2))
	g.tellHost(&l)
	if d.Memory != nil || d.Block != nil || l.Pressure != nil {
		t.Errorf("%+v, pressure %+v", d, l.Pressure)
	}
	g.add(gathering{at: time.Hour})
	if g.span() != 0 {
		t.Errorf("a window over a gap: %v", g.span())
	}
	g.add(gathering{at: time.Minute})
	if g.span() != 0 {
		t.Errorf("a window over a clock that ran backwards: %v", g.span())
	}
}

// The more VMs, the less often: what the questions cost stays about the same.
func TestManyVMsAreAskedSeldom(t *testing.T) {
	for vms, want := range map[int]time.Duration{0: 5 * time.Second, 10: 5 * time.Second, 60: 30 * time.Second, 120: time.Minute, 4000: time.Minute} {
		if got := gatherPause(vms); got != want {
			t.Errorf("%d VMs: every %v, want %v", vms, got, want)
		}
	}
}
