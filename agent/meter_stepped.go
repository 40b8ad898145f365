package agent

import (
	"log/slog"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// SteppedMeter counts as well as the ceiling on its cost allows: with the probe
// at one of its levels, or without it. Counters of the probe and of schedstat
// have unlike epochs, as consumers see by Since.
type SteppedMeter struct {
	open      func() (*ProbeMeter, error)
	schedstat *SchedstatMeter
	log       *slog.Logger

	mu     sync.Mutex
	probe  *ProbeMeter // nil on the lowest rung
	govern *governor
	costs  []costAt // of the present probe, over the last window
}

type costAt struct {
	at   time.Duration
	cost bpf.Cost
}

// NewSteppedMeter wraps a probe that has been opened; open opens it again after
// it was taken out. The ceiling is in CPUs.
func NewSteppedMeter(probe *ProbeMeter, open func() (*ProbeMeter, error), schedstat *SchedstatMeter, ceiling float64, log *slog.Logger) *SteppedMeter {
	return &SteppedMeter{open: open, schedstat: schedstat, log: log, probe: probe, govern: newGovernor(ceiling)}
}

// Ceiling is what the probe may take, in CPUs: a hundredth of those that VMs
// may use, and a fiftieth of one CPU on the smallest hosts.
func Ceiling(cpus cluster.MilliCPU) float64 { return max(cpus.CPUs()/100, 0.02) }

func (s *SteppedMeter) meter() Meter {
	if s.probe == nil {
		return s.schedstat
	}
	return s.probe
}

// Source says by what the present rung counts.
func (s *SteppedMeter) Source() cluster.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.govern.at {
	case rungExact:
		return cluster.SourceEBPF
	case rungSampled:
		return cluster.SourceSampled
	case rungSums:
		return cluster.SourceSums
	}
	return cluster.SourceSchedstat
}

// Follow makes these the VMs that are counted.
func (s *SteppedMeter) Follow(guests []Guest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meter().Follow(guests)
}

// Close takes the probe out of the kernel.
func (s *SteppedMeter) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meter().Close()
}

// Read gives the counters of every VM that is followed, and changes the rung
// for the next reading if it must.
func (s *SteppedMeter) Read() (Reading, error) { return s.read(Meter.Read) }

// ReadCulprits is Read with the VMs' Culprits.
func (s *SteppedMeter) ReadCulprits() (Reading, error) { return s.read(Meter.ReadCulprits) }

func (s *SteppedMeter) read(of func(Meter) (Reading, error)) (Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := of(s.meter())
	if err != nil {
		return r, err
	}
	if why, changed := s.govern.judge(s.present(r), r.At); changed {
		s.log.Warn("measuring otherwise", "part", "meter", "why", why)
		s.step()
	}
	return r, nil
}

// present is what the probe cost over the last window, in CPUs.
func (s *SteppedMeter) present(r Reading) float64 {
	s.costs = append(s.costs, costAt{r.At, r.Cost})
	for len(s.costs) > 2 && r.At-s.costs[1].at >= governWindow {
		s.costs = s.costs[1:]
	}
	first := s.costs[0]
	if span := r.At - first.at; span > 0 && r.Cost.Runs >= first.cost.Runs {
		return r.Cost.Sub(first.cost).TotalNS() / float64(span)
	}
	return 0
}

// step brings the meter to the governor's rung.
func (s *SteppedMeter) step() {
	s.costs = nil
	if s.govern.at == rungSchedstat {
		if err := s.probe.Close(); err != nil {
			s.log.Warn("taking the probe out", "part", "meter", "err", err)
		}
		s.probe = nil
		return
	}
	if s.probe == nil {
		probe, err := s.open()
		if err != nil {
			s.log.Warn("the probe cannot be loaded again", "part", "meter", "err", err)
			s.govern.at = rungSchedstat
			return
		}
		s.probe = probe
	}
	level := [...]bpf.Level{bpf.LevelExact, bpf.LevelSampled, bpf.LevelSums}[s.govern.at]
	if err := s.probe.SetLevel(level); err != nil {
		s.log.Warn("changing the probe's level", "part", "meter", "err", err)
	}
}
