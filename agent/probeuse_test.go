package agent

import (
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// costly is a meter of which only its cost is of interest.
type costly struct {
	source  cluster.Source
	reading Reading
}

func (c *costly) Follow([]Guest) error           { return nil }
func (c *costly) Read() (Reading, error)         { return c.reading, nil }
func (c *costly) ReadCulprits() (Reading, error) { return c.reading, nil }
func (c *costly) Source() cluster.Source         { return c.source }
func (c *costly) Close() error                   { return nil }

// costlyBlocks is the same of block I/O.
type costlyBlocks struct{ reading bpf.BlockReading }

func (c costlyBlocks) Follow([]Guest) error            { return nil }
func (c costlyBlocks) Read() (bpf.BlockReading, error) { return c.reading, nil }
func (c costlyBlocks) Close() error                    { return nil }

// What the probes have used is told of those that are in the kernel: of none
// before the first sample, not of the scheduler's once it was taken out.
func TestProbesTellTheirUse(t *testing.T) {
	l := newListing(t, nil)
	meter := &costly{cluster.SourceSums, Reading{At: 1, Lost: 4, Cost: bpf.Cost{Runs: 5000, Timed: 4, TimedNS: 200, Missed: 1}}}
	none := func() (uint64, error) { return 0, nil }
	l.cfg.Meter, l.cfg.Busy, l.cfg.Own = meter, none, none
	if got := l.Probes(); len(got) != 0 {
		t.Errorf("before the first sample: %+v", got)
	}
	l.sample()
	runqueue := ProbeUse{ProbeRunQueue, meter.reading.Cost, 4}
	if got := l.Probes(); !slices.Equal(got, []ProbeUse{runqueue}) {
		t.Errorf("without block I/O: %+v", got)
	}
	l.cfg.Block = costlyBlocks{bpf.BlockReading{Lost: 1, Absurd: 2, Future: 4, Unsplit: 100, Cost: bpf.Cost{Runs: 9}}}
	l.readBlock()
	block := ProbeUse{ProbeBlock, bpf.Cost{Runs: 9}, 7}
	if got := l.Probes(); !slices.Equal(got, []ProbeUse{runqueue, block}) {
		t.Errorf("both: %+v", got)
	}
	meter.source = cluster.SourceSchedstat
	l.sample()
	if got := l.Probes(); !slices.Equal(got, []ProbeUse{block}) {
		t.Errorf("the scheduler's was taken out: %+v", got)
	}
}
