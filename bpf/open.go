package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Options size the maps.
type Options struct {
	MaxThreads int // threads tracked at once; default 8192, at most 65535
	MaxVMs     int // VMs tracked at once; default 512, at most 4096; 8 bytes of memory each squared
}

const (
	defaultThreads = 8192
	maxThreads     = 1<<16 - 1
	defaultVMs     = 512
	maxVMs         = 4096
	maxPID         = 1 << 22 // PID_MAX_LIMIT of 64-bit kernels
)

// ErrUnsupported means that this kernel cannot run the probe at all; what is
// missing is in the text.
var ErrUnsupported = errors.New("this kernel cannot run the probe")

// ErrPermission means that this process may not load the probe.
var ErrPermission = errors.New("not allowed to load the probe")

// Open loads the probe into the kernel and attaches it. It needs CAP_BPF and
// CAP_PERFMON, and a kernel with BTF and tp_btf (5.5 or newer).
func Open(opts Options) (*Probes, error) {
	threads, vms, err := opts.sizes()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	pids, err := pidMax("/proc/sys/kernel/pid_max")
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	ncpu, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	kernel, err := supported()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	// Before 5.11 (struct bpf_map_memory) maps count as locked memory. Raising
	// that limit may be forbidden (CAP_SYS_RESOURCE); then loading fails, and says
	// so. On newer kernels a failure here says nothing.
	limitErr := rlimit.RemoveMemlock()
	if !has(kernel, "bpf_map", "memory") {
		limitErr = nil
	}
	p := newProbes(threads, vms, pids, ncpu)
	if err := p.load(kernel); err != nil {
		return nil, errors.Join(fmt.Errorf("probe: %w", explain(err)), limitErr, p.Close())
	}
	return p, nil
}

// sizes are the options with their defaults.
func (o Options) sizes() (threads, vms int, err error) {
	threads, vms = o.MaxThreads, o.MaxVMs
	if threads == 0 {
		threads = defaultThreads
	}
	if vms == 0 {
		vms = defaultVMs
	}
	if threads < 0 || threads > maxThreads {
		return 0, 0, fmt.Errorf("MaxThreads is %d, must lie between 1 and %d", threads, maxThreads)
	}
	if vms < 0 || vms > maxVMs {
		return 0, 0, fmt.Errorf("MaxVMs is %d, must lie between 1 and %d", vms, maxVMs)
	}
	return threads, vms, nil
}

const (
	switchProgram  = "ek_sched_switch"
	migrateProgram = "ek_sched_migrate"
	openProgram    = "ek_open_waits"
)

// spec is the object with its maps sized for these Probes.
func (p *Probes) spec() (*ebpf.CollectionSpec, error) {
	spec, err := loadSched()
	if err != nil {
		return nil, err
	}
	slots, stride := uint32(len(p.free))+1, uint32(len(p.cells)) // number 0 means nobody
	spec.Maps["threads"].MaxEntries = slots
	spec.Maps["opens"].MaxEntries = slots
	spec.Maps["slots"].MaxEntries = uint32((p.pids + slotsPerPage - 1) / slotsPerPage)
	spec.Maps["cpus"].MaxEntries = uint32(p.ncpu)
	spec.Maps["matrix"].MaxEntries = stride * stride
	delete(spec.Programs, "ek_bucket_of")
	return spec, spec.Variables["matrix_stride"].Set(stride)
}

func (p *Probes) load(kernel *btf.Spec) error {
	openErr := p.collect(kernel)
	if p.coll == nil {
		return openErr
	}
	for name, at := range map[string]**ebpf.Memory{
		"slots": &p.slots, "threads": &p.threads, "opens": &p.opens, "cpus": &p.cpus, "matrix": &p.matrix, "lost": &p.lost,
	} {
		var err error
		if *at, err = p.coll.Maps[name].Memory(); err != nil {
			return fmt.Errorf("map %s into memory: %w", name, err)
		}
	}
	if err := p.setLevel(); err != nil {
		return err
	}
	if openErr == nil {
		p.iter, openErr = link.AttachIter(link.IterOptions{Program: p.coll.Programs[openProgram]})
	}
	p.features = featuresOf(kernel, openErr)
	// Moves first: a wait whose move was not seen is attributed less exactly.
	for _, name := range []string{migrateProgram, switchProgram} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p.coll.Programs[name]})
		if err != nil {
			return fmt.Errorf("attach %s: %w", name, err)
		}
		p.links = append(p.links, l)
	}
	return nil
}

// collect loads the programs, if need be without the iterator, and says why
// that is missing. There is no collection if the error is not about it.
func (p *Probes) collect(kernel *btf.Spec) error {
	openErr := errNoIterator
	if has(kernel, "bpf_iter__task", "task") {
		spec, err := p.spec()
		if err != nil {
			return err
		}
		if p.coll, openErr = ebpf.NewCollection(spec); openErr == nil {
			return nil
		}
	}
	spec, err := p.spec()
	if err != nil {
		return err
	}
	delete(spec.Programs, openProgram)
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	p.coll = coll
	return openErr
}

// pidMax is how many thread ids there can be.
func pidMax(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n < 1 || n > maxPID {
		return 0, fmt.Errorf("%s is %.20q, want a number from 1 to %d", path, text, maxPID)
	}
	// It may be raised while we run, and 64-bit kernels allow up to maxPID; at
	// 2 bytes each the common 32,768 are 64 KiB, and all of them 8 MiB.
	return n, nil
}

// supported asks the kernel's own type information for what the program
// reads; versions say little, since distributions backport.
func supported() (*btf.Spec, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("%w: no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF): %w", ErrUnsupported, err)
	}
	return spec, lacks(spec)
}

// lacks names the first thing that the program reads and a kernel has not.
func lacks(kernel *btf.Spec) error {
	for _, need := range []struct{ typ, member, config string }{
		{"sched_info", "last_queued", "CONFIG_SCHED_INFO"},
		{"sched_entity", "cfs_rq", "CONFIG_FAIR_GROUP_SCHED"},
		{"cfs_rq", "rq", "CONFIG_FAIR_GROUP_SCHED"},
	} {
		if !has(kernel, need.typ, need.member) {
			return fmt.Errorf("%w: struct %s has no member %s (%s)", ErrUnsupported, need.typ, need.member, need.config)
		}
	}
	return nil
}

// explain translates what the kernel and the library say. With too few
// capabilities the library suspects the locked-memory limit, which misleads.
func explain(err error) error {
	var verdict *ebpf.VerifierError
	switch {
	case errors.As(err, &verdict) && len(verdict.Log) > 1:
		// The verifier says "permission denied" too. Its last lines say why.
		return fmt.Errorf("%w: its verifier rejected a program: %s", ErrUnsupported, strings.Join(verdict.Log[max(0, len(verdict.Log)-3):], "; "))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: it needs CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before 5.8); the kernel said %w", ErrPermission, os.ErrPermission)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: tp_btf programs need 5.5 or newer: %w", ErrUnsupported, err)
	}
	return err
}
