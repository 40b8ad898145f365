package agent

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// SchedstatMeter reads the kernel's own sums from /proc. It is exact, but
// knows no distribution and no culprit: what is left on a kernel that cannot
// run the probe, and said so in every snapshot.
type SchedstatMeter struct {
	proc   procfs.Reader
	uptime func() time.Duration
	now    func() time.Time

	mu  sync.Mutex
	vms map[string]*schedstatVM
}

type schedstatVM struct {
	since   time.Time
	pid     int
	started procfs.Ticks // of the process: a reused pid is another VM
	vcpus   []int
	threads map[int]*tally // tid → its counters
	retired VMReading      // sums of vCPU and other threads that ended
}

// tally is one thread's counters from where tracking began.
type tally struct {
	started   procfs.Ticks
	vcpu      bool
	base, now procfs.Schedstat
}

// NewSchedstatMeter makes a meter over a /proc tree.
func NewSchedstatMeter(proc procfs.Reader, uptime func() time.Duration, now func() time.Time) *SchedstatMeter {
	return &SchedstatMeter{proc: proc, uptime: uptime, now: now, vms: map[string]*schedstatVM{}}
}

// Source is schedstat.
func (*SchedstatMeter) Source() cluster.Source { return cluster.SourceSchedstat }

// Close has nothing to close.
func (*SchedstatMeter) Close() error { return nil }

// Follow makes these the VMs that are counted.
func (s *SchedstatMeter) Follow(guests []Guest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	here := make(map[string]bool, len(guests))
	var errs []error
	for _, g := range guests {
		here[g.UUID] = true
		if err := s.follow(g); err != nil {
			errs = append(errs, fmt.Errorf("VM %s: %w", g.Name, err))
		}
	}
	for vm := range s.vms {
		if !here[vm] {
			delete(s.vms, vm)
		}
	}
	return errors.Join(errs...)
}

func (s *SchedstatMeter) follow(g Guest) error {
	if g.PID <= 0 {
		return errors.New("its QEMU process was not found")
	}
	process, err := s.proc.Process(g.PID)
	if err != nil {
		return err
	}
	v := s.vms[g.UUID]
	if v == nil || v.pid != g.PID || v.started != process.StartTime {
		v = &schedstatVM{since: s.now(), pid: g.PID, started: process.StartTime, threads: map[int]*tally{}}
		s.vms[g.UUID] = v
	}
	v.vcpus = v.vcpus[:0]
	for _, tid := range g.VCPUThreads {
		if tid > 0 {
			v.vcpus = append(v.vcpus, tid)
		}
	}
	return s.threads(v)
}

// threads follows the process's threads as they come and go. A thread that is
// there when tracking begins counts from its present figures, one that is
// born later from its birth.
func (s *SchedstatMeter) threads(v *schedstatVM) error {
	list, err := s.proc.Threads(v.pid)
	if err != nil {
		return err
	}
	first := len(v.threads) == 0
	alive := make(map[int]bool, len(list))
	for _, th := range list {
		alive[th.TID] = true
		if t := v.threads[th.TID]; t != nil && t.started == th.StartTime {
			continue
		}
		v.retire(th.TID)
		t := &tally{started: th.StartTime}
		if first {
			if t.base, err = s.proc.Schedstat(v.pid, th.TID); err != nil {
				continue // it ended meanwhile
			}
			t.now = t.base
		}
		v.threads[th.TID] = t
	}
	for tid := range v.threads {
		if !alive[tid] {
			v.retire(tid)
		}
	}
	for _, tid := range v.vcpus {
		if t := v.threads[tid]; t != nil {
			t.vcpu = true
		}
	}
	return nil
}

// retire folds an ended thread's counters into the VM's, so that none falls.
func (v *schedstatVM) retire(tid int) {
	t := v.threads[tid]
	if t == nil {
		return
	}
	delete(v.threads, tid)
	if !t.vcpu {
		v.retired.Others += t.now.RunNS - t.base.RunNS
		return
	}
	v.retired.RunNS += t.now.RunNS - t.base.RunNS
	v.retired.WaitNS += t.now.WaitNS - t.base.WaitNS
	v.retired.Waits += t.now.Timeslices - t.base.Timeslices
}

// ReadCulprits is Read: schedstat knows no culprits.
func (s *SchedstatMeter) ReadCulprits() (Reading, error) { return s.Read() }

// Read gives the counters of every VM that is followed.
func (s *SchedstatMeter) Read() (Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Reading{At: s.uptime(), VMs: make(map[string]VMReading, len(s.vms))}
	for vm, v := range s.vms {
		r.VMs[vm] = s.read(v)
	}
	return r, nil
}

func (s *SchedstatMeter) read(v *schedstatVM) VMReading {
	for tid, t := range v.threads {
		if now, err := s.proc.Schedstat(v.pid, tid); err == nil && now.RunNS >= t.now.RunNS && now.WaitNS >= t.now.WaitNS {
			t.now = now
		}
	}
	out := v.retired
	out.Since = v.since
	for _, tid := range v.vcpus {
		t := v.threads[tid]
		if t == nil {
			continue
		}
		c := VCPUReading{
			TID: tid, RunNS: t.now.RunNS - t.base.RunNS, WaitNS: t.now.WaitNS - t.base.WaitNS,
			Waits: t.now.Timeslices - t.base.Timeslices,
		}
		out.VCPUs = append(out.VCPUs, c)
		out.RunNS, out.WaitNS, out.Waits = out.RunNS+c.RunNS, out.WaitNS+c.WaitNS, out.Waits+c.Waits
	}
	for _, t := range v.threads {
		if !t.vcpu {
			out.Others += t.now.RunNS - t.base.RunNS
		}
	}
	return out
}
