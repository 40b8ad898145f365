package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ProbeMeter counts with the eBPF probe.
type ProbeMeter struct {
	probes *bpf.Probes
	proc   procfs.Reader
	uptime func() time.Duration
	log    *slog.Logger
}

// OpenProbeMeter loads the probe; an error names what the kernel or this
// process lacks.
func OpenProbeMeter(proc procfs.Reader, uptime func() time.Duration, log *slog.Logger) (*ProbeMeter, error) {
	probes, err := bpf.Open(bpf.Options{})
	if err != nil {
		return nil, err
	}
	return &ProbeMeter{probes: probes, proc: proc, uptime: uptime, log: log}, nil
}

// Source is ebpf.
func (*ProbeMeter) Source() cluster.Source { return cluster.SourceEBPF }

// Close takes the probe out of the kernel.
func (p *ProbeMeter) Close() error { return p.probes.Close() }

// Follow makes these the VMs that are counted, with the threads that they
// have now.
func (p *ProbeMeter) Follow(guests []Guest) error {
	here := make(map[string]bool, len(guests))
	var errs []error
	for _, g := range guests {
		if g.PID <= 0 {
			errs = append(errs, fmt.Errorf("VM %s: its QEMU process was not found", g.Name))
			continue
		}
		threads, err := p.threads(g)
		if err != nil {
			errs = append(errs, fmt.Errorf("VM %s: %w", g.Name, err))
			continue
		}
		here[g.UUID] = true
		if err := p.probes.Track(bpf.Target{VM: g.UUID, PID: g.PID, Threads: threads}); err != nil {
			errs = append(errs, fmt.Errorf("VM %s: %w", g.Name, err))
		}
	}
	for _, vm := range p.probes.Tracked() {
		if !here[vm] {
			p.probes.Untrack(vm)
		}
	}
	return errors.Join(errs...)
}

func (p *ProbeMeter) threads(g Guest) ([]bpf.Thread, error) {
	list, err := p.proc.Threads(g.PID)
	if err != nil {
		return nil, err
	}
	vcpu := make(map[int]int, len(g.VCPUThreads))
	for n, tid := range g.VCPUThreads {
		vcpu[tid] = n
	}
	out := make([]bpf.Thread, 0, len(list))
	for _, th := range list {
		n, is := vcpu[th.TID]
		if !is {
			n = -1
		}
		out = append(out, bpf.Thread{TID: th.TID, Start: uint64(th.StartTime), VCPU: n})
	}
	return out, nil
}

// Read gives the counters of every VM that is followed, and beside each the
// kernel's own sum, so that the books can be checked.
func (p *ProbeMeter) Read() (Reading, error) {
	r, err := p.probes.Read()
	if err != nil {
		return Reading{}, err
	}
	out := Reading{At: p.uptime(), Lost: r.Absurd + r.Foreign + r.Missed, VMs: make(map[string]VMReading, len(r.VMs))}
	for id, vm := range r.VMs {
		total := vm.Total()
		v := VMReading{
			Since: vm.Since, RunNS: total.RunNS, WaitNS: total.WaitNS, Waits: total.Waits, Causes: total.Causes,
			Others: vm.Others.RunNS, Culprits: vm.Culprits,
		}
		for _, c := range vm.VCPUs {
			// A thread that has just ended has no schedstat: its audit stands still
			// until the next listing, and less() takes that for zero.
			audit, err := p.proc.Schedstat(c.TID, c.TID)
			if err != nil {
				p.log.Debug("no schedstat to audit by", "vm", id, "thread", c.TID, "err", err)
			}
			v.VCPUs = append(v.VCPUs, VCPUReading{
				TID: c.TID, RunNS: c.RunNS, WaitNS: c.WaitNS, Waits: c.Waits, Causes: c.Causes, Latency: c.Latency, AuditNS: audit.WaitNS,
				OpenRunNS: c.OpenRunNS, OpenWaitNS: c.OpenWaitNS, OpenQuotaNS: c.OpenQuotaNS,
			})
		}
		out.VMs[id] = v
	}
	return out, nil
}
