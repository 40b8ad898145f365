package bpf

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Level says how much the probe finds out, and so what it costs.
type Level uint8

// The levels, dearest first. Sums, counts and histograms are the kernel's own
// on all of them.
const (
	// LevelExact splits every wait over those who ran meanwhile.
	LevelExact Level = iota
	// LevelSampled splits one wait in SampledOneIn and lets the others have
	// their shares: sums stay exact, causes and culprits are estimates.
	LevelSampled
	// LevelSums keeps no books of who ran: but for the VM's own quota every wait
	// is unattributed.
	LevelSums
	levels // how many there are
)

// SampledOneIn is how many waits share one sample on LevelSampled.
const SampledOneIn = 16

// String is the level's name as JSON, flags and metrics show it.
func (l Level) String() string {
	if l >= levels {
		return "unknown"
	}
	return [levels]string{"exact", "sampled", "sums"}[l]
}

// SetLevel changes how much the probe finds out, while it runs.
func (p *Probes) SetLevel(l Level) error {
	if l >= levels {
		return fmt.Errorf("probe: level %d does not exist; use exact, sampled or sums", l)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.level = l
	return p.setLevel()
}

// setLevel tells every CPU. Without a VM the program does nothing at all.
func (p *Probes) setLevel() error {
	l := uint32(p.level)
	if len(p.vms) == 0 {
		l = uint32(schedEkLevelEK_LEVEL_OFF)
	}
	var cell [4]byte
	binary.LittleEndian.PutUint32(cell[:], l)
	for cpu := range p.ncpu {
		at := int64(cpu)*int64(cpuSize) + int64(unsafe.Offsetof(cpuRecord{}.Level))
		if _, err := p.cpus.WriteAt(cell[:], at); err != nil {
			return fmt.Errorf("probe: set level: %w", err)
		}
	}
	return nil
}

// Cost is what the program on sched_switch has used since it was loaded.
// Every TimedOneIn-th run on a CPU is timed by the program itself, net of what
// reading the clock costs; the kernel's way into the program is not in it.
type Cost struct {
	Runs    uint64 // switches that the program saw
	Timed   uint64 // how many of those runs were timed
	TimedNS uint64 // what they took together
	Missed  uint64 // runs that the kernel skipped as recursion, 0 where it does not say (before 5.12)
}

// TimedOneIn is how many runs of the program share one timed run.
const TimedOneIn = 1024

// PerRunNS is the mean of the timed runs, 0 before there is one.
func (c Cost) PerRunNS() float64 {
	if c.Timed == 0 {
		return 0
	}
	return float64(c.TimedNS) / float64(c.Timed)
}

// TotalNS estimates what all runs took.
func (c Cost) TotalNS() float64 { return c.PerRunNS() * float64(c.Runs) }

// Sub is what came since an earlier reading.
func (c Cost) Sub(o Cost) Cost {
	return Cost{Runs: c.Runs - o.Runs, Timed: c.Timed - o.Timed, TimedNS: c.TimedNS - o.TimedNS, Missed: c.Missed - o.Missed}
}
