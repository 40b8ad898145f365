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
)

// Options size the maps.
type Options struct {
	MaxThreads int // threads tracked at once; default 8192, at most 65535
	MaxVMs     int // VMs tracked at once; default 512, at most 4096; 8 bytes of memory each squared
}

const (
	defaultThreads = 8192
	maxThreads     = 1<<16 - 1
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
	threads := opts.MaxThreads
	if threads == 0 {
		threads = defaultThreads
	}
	if threads < 0 || threads > maxThreads {
		return nil, fmt.Errorf("probe: MaxThreads is %d, must lie between 1 and %d", threads, maxThreads)
	}
	pids, err := pidMax("/proc/sys/kernel/pid_max")
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	if err := supported(); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	spec, err := loadSched()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	spec.Maps["threads"].MaxEntries = uint32(threads) + 1 // slot 0 means untracked
	spec.Maps["slots"].MaxEntries = uint32((pids + slotsPerPage - 1) / slotsPerPage)
	delete(spec.Programs, "ek_bucket_of")
	p := newProbes(threads, pids)
	if err := p.load(spec); err != nil {
		return nil, errors.Join(fmt.Errorf("probe: %w", explain(err)), p.Close())
	}
	return p, nil
}

func (p *Probes) load(spec *ebpf.CollectionSpec) error {
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	p.coll = coll
	for name, at := range map[string]**ebpf.Memory{"slots": &p.slots, "threads": &p.threads, "lost": &p.lost} {
		if *at, err = coll.Maps[name].Memory(); err != nil {
			return fmt.Errorf("map %s into memory: %w", name, err)
		}
	}
	p.link, err = link.AttachTracing(link.TracingOptions{Program: coll.Programs["ek_sched_switch"]})
	return err
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
func supported() error {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("%w: no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF): %w", ErrUnsupported, err)
	}
	for _, need := range []struct{ typ, member, config string }{
		{"sched_info", "last_queued", "CONFIG_SCHED_INFO"},
		{"sched_entity", "cfs_rq", "CONFIG_FAIR_GROUP_SCHED"},
		{"cfs_rq", "rq", "CONFIG_FAIR_GROUP_SCHED"},
	} {
		var s *btf.Struct
		if err := spec.TypeByName(need.typ, &s); err != nil || !hasMember(s, need.member) {
			return fmt.Errorf("%w: struct %s has no member %s (%s)", ErrUnsupported, need.typ, need.member, need.config)
		}
	}
	return nil
}

func hasMember(s *btf.Struct, name string) bool {
	for _, m := range s.Members {
		if m.Name == name {
			return true
		}
	}
	return false
}

// explain translates what the kernel and the library say. With too few
// capabilities the library suspects the locked-memory limit, which misleads.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: it needs CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before 5.8); the kernel said %w", ErrPermission, os.ErrPermission)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: tp_btf programs need 5.5 or newer: %w", ErrUnsupported, err)
	}
	return err
}
