package agent

import (
	"errors"
	"fmt"
	"slices"
	"sync"
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
	listed threads

	throttling bool // the kernel tells the probe of it

	vhost   map[int][]bpf.Thread // the kernel's vhost workers, by the process that they serve
	vhostAt time.Duration

	mu      sync.Mutex
	audited []int // threads of all vCPUs at the last reading
	turn    int
}

// OpenProbeMeter loads the probe; an error names what the kernel or this
// process lacks.
func OpenProbeMeter(proc procfs.Reader, uptime func() time.Duration) (*ProbeMeter, error) {
	probes, err := bpf.Open(bpf.Options{})
	if err != nil {
		return nil, err
	}
	throttling := slices.ContainsFunc(probes.Features(), func(f bpf.Feature) bool { return f.Name == bpf.FeatureQuota && f.On })
	return &ProbeMeter{probes: probes, proc: proc, uptime: uptime, throttling: throttling, listed: threads{proc, map[int]*threadSet{}}}, nil
}

// Source is ebpf.
func (*ProbeMeter) Source() cluster.Source { return cluster.SourceEBPF }

// SetLevel changes how much the probe finds out.
func (p *ProbeMeter) SetLevel(l bpf.Level) error { return p.probes.SetLevel(l) }

// Close takes the probe out of the kernel.
func (p *ProbeMeter) Close() error {
	p.listed.keep(nil)
	return p.probes.Close()
}

// Follow makes these the VMs that are counted, with the threads that they
// have now.
func (p *ProbeMeter) Follow(guests []Guest) error {
	here, pids := make(map[string]bool, len(guests)), make(map[int]bool, len(guests))
	var errs []error
	if err := p.lookForVhost(); err != nil {
		errs = append(errs, fmt.Errorf("vhost workers: %w", err))
	}
	for _, g := range guests {
		if g.PID <= 0 {
			errs = append(errs, fmt.Errorf("VM %s: its QEMU process was not found", g.Name))
			continue
		}
		pids[g.PID] = true
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
	p.listed.keep(pids)
	for _, vm := range p.probes.Tracked() {
		if !here[vm] {
			p.probes.Untrack(vm)
		}
	}
	return errors.Join(errs...)
}

// threads are QEMU's own and the kernel's that work for it, with their roles.
func (p *ProbeMeter) threads(g Guest) ([]bpf.Thread, error) {
	list, err := p.listed.of(g.PID, p.uptime())
	if err != nil {
		return nil, err
	}
	out := roles(g.PID, list, g.VCPUThreads)
	for _, th := range p.vhost[g.PID] {
		th.PID = th.TID // a process of the kernel's by itself
		out = append(out, th)
	}
	return out, nil
}

// lookForVhost lists the kernel's vhost workers now and then: it takes a look
// at every process.
func (p *ProbeMeter) lookForVhost() error {
	now := p.uptime()
	if p.vhost != nil && now-p.vhostAt < recheckThreads {
		return nil
	}
	kernel, err := p.proc.KernelThreads("vhost-")
	if err != nil {
		return err
	}
	p.vhost, p.vhostAt = vhostKernelThreads(kernel), now
	return nil
}

// Read gives the counters of every VM that is followed, and beside those of
// some vCPUs the kernel's own sums, so that the books can be checked.
func (p *ProbeMeter) Read() (Reading, error) { return p.read(p.probes.Read) }

// ReadCulprits is Read with the VMs' Culprits.
func (p *ProbeMeter) ReadCulprits() (Reading, error) {
	r, err := p.read(p.probes.ReadCulprits)
	r.Listed = err == nil
	return r, err
}

func (p *ProbeMeter) read(probes func() (bpf.Reading, error)) (Reading, error) {
	due := p.due()
	before := p.kernelSums(due)
	r, err := probes()
	if err != nil {
		return Reading{}, err
	}
	after := p.kernelSums(due)
	out := Reading{At: p.uptime(), Lost: r.Absurd + r.Foreign + r.Missed, Cost: r.Cost, Throttling: p.throttling, VMs: make(map[string]VMReading, len(r.VMs))}
	var threads []int
	for id, vm := range r.VMs {
		total := vm.Total()
		v := VMReading{
			Since: vm.Since, RunNS: total.RunNS, WaitNS: total.WaitNS, Waits: total.Waits, Causes: total.Causes,
			Others: vm.Others.RunNS, Culprits: vm.Culprits,
		}
		for role, c := range vm.Roles {
			v.Roles[role] = RoleReading{c.RunNS, c.WaitNS}
		}
		for _, c := range vm.VCPUs {
			threads = append(threads, c.TID)
			sum, there := before[c.TID]
			v.VCPUs = append(v.VCPUs, VCPUReading{
				TID: c.TID, RunNS: c.RunNS, WaitNS: c.WaitNS, Waits: c.Waits, Causes: c.Causes, Latency: c.Latency,
				OpenRunNS: c.OpenRunNS, OpenWaitNS: c.OpenWaitNS, OpenQuotaNS: c.OpenQuotaNS,
				AuditNS: sum, Audited: there && after[c.TID] == sum,
			})
		}
		out.VMs[id] = v
	}
	slices.Sort(threads)
	p.mu.Lock()
	p.audited = threads
	p.mu.Unlock()
	return out, nil
}

// auditOneIn is how many vCPUs share one audit a reading: each has its turn
// every twenty seconds, three times within the span that books are compared
// over. Every eight seconds it was a quarter of what sampling costs.
const auditOneIn = 20

// due are the threads whose turn it is to be audited.
func (p *ProbeMeter) due() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	var due []int
	for i := p.turn % auditOneIn; i < len(p.audited); i += auditOneIn {
		due = append(due, p.audited[i])
	}
	return due
}

// kernelSums reads what the kernel says that threads have waited. One that has
// just ended is left out.
func (p *ProbeMeter) kernelSums(threads []int) map[int]uint64 {
	out := make(map[int]uint64, len(threads))
	for _, tid := range threads {
		if s, err := p.proc.Schedstat(tid, tid); err == nil {
			out[tid] = s.WaitNS
		}
	}
	return out
}
