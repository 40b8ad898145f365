package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

const (
	defaultFlights = 16384
	maxFlights     = 1 << 20

	completeProgram = "ek_block_complete"
)

// The features' names.
const (
	FeatureBlockCgroup    = "block-cgroup"
	FeatureBlockSubmitter = "block-submitter"
	FeatureBlockSplit     = "block-queue-device"
	FeatureBlockMissed    = "block-missed-runs"
)

// OpenBlock loads the block probe into the kernel and attaches it. It needs
// CAP_BPF and CAP_PERFMON, and a kernel with BTF and tp_btf (5.5 or newer).
func OpenBlock(opts BlockOptions) (*Block, error) {
	vms, flights, err := opts.sizes()
	if err != nil {
		return nil, fmt.Errorf("block probe: %w", err)
	}
	ncpu, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("block probe: %w", err)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("block probe: %w: no BTF (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF): %w", ErrUnsupported, err)
	}
	if !has(kernel, "request", "io_start_time_ns") {
		return nil, fmt.Errorf("block probe: %w: struct request has no member io_start_time_ns (CONFIG_BLOCK)", ErrUnsupported)
	}
	b := newBlock(vms, ncpu)
	if err := b.load(kernel, flights); err != nil {
		return nil, errors.Join(fmt.Errorf("block probe: %w", explain(err)), b.Close())
	}
	return b, nil
}

// sizes are the options with their defaults.
func (o BlockOptions) sizes() (vms, flights int, err error) {
	vms, flights = o.MaxVMs, o.MaxFlights
	if vms == 0 {
		vms = defaultVMs
	}
	if flights == 0 {
		flights = defaultFlights
	}
	if vms < 0 || vms > maxVMs {
		return 0, 0, fmt.Errorf("MaxVMs is %d, must lie between 1 and %d", vms, maxVMs)
	}
	if flights < 0 || flights > maxFlights {
		return 0, 0, fmt.Errorf("MaxFlights is %d, must lie between 1 and %d", flights, maxFlights)
	}
	return vms, flights, nil
}

func newBlock(vms, ncpu int) *Block {
	b := &Block{
		links: map[string]link.Link{}, ncpu: ncpu, vms: map[string]*blockVM{}, now: time.Now,
		buf: make([]byte, blockRecordSize),
	}
	for slot := vms; slot >= 1; slot-- { // 0 means nobody
		b.free = append(b.free, uint32(slot))
	}
	return b
}

func (b *Block) load(kernel *btf.Spec, flights int) error {
	b.choose(kernel)
	spec, err := b.spec(flights)
	if err != nil {
		return err
	}
	if b.coll, err = ebpf.NewCollection(spec); err != nil {
		return err
	}
	for name, at := range map[string]**ebpf.Memory{"records": &b.records, "cpus": &b.cpus, "lost": &b.lost} {
		if *at, err = b.coll.Maps[name].Memory(); err != nil {
			return fmt.Errorf("map %s into memory: %w", name, err)
		}
	}
	return b.attach(completeProgram)
}

// spec is the object with its maps sized, and without the programs that do not
// fit this kernel.
func (b *Block) spec(flights int) (*ebpf.CollectionSpec, error) {
	spec, err := loadBlock()
	if err != nil {
		return nil, err
	}
	vms := uint32(len(b.free))
	spec.Maps["records"].MaxEntries = vms + 1
	spec.Maps["cgroups"].MaxEntries = vms
	spec.Maps["owners"].MaxEntries = vms
	spec.Maps["cpus"].MaxEntries = uint32(b.ncpu)
	spec.Maps["flights"].MaxEntries = uint32(flights)
	for name := range spec.Programs {
		if name != completeProgram && name != b.submit && name != b.issue {
			delete(spec.Programs, name)
		}
	}
	if b.major, err = mapperMajor("/proc/devices"); err != nil {
		return nil, err
	}
	return spec, errors.Join(
		spec.Variables["mapper_major"].Set(b.major),
		spec.Variables["flights_by_bio"].Set(b.submit != submitProgram),
		spec.Variables["stamped"].Set(!b.unstamped))
}

// The programs that see the submitter and the issue, by what the kernel has.
const (
	submitProgram         = "ek_block_io_start"    // 6.5 and newer
	submitBioProgram      = "ek_block_getrq"       // 5.11 and newer
	submitBioQueueProgram = "ek_block_getrq_queue" // older
	issueProgram          = "ek_block_issue"       // 5.11 and newer
	issueQueueProgram     = "ek_block_issue_queue" // older
)

// choose picks the programs that fit the kernel.
func (b *Block) choose(kernel *btf.Spec) {
	submitter := Feature{Name: FeatureBlockSubmitter}
	switch {
	case tracepoint(kernel, "block_io_start") > 0:
		b.submit, submitter.On, submitter.Why = submitProgram, true, "block_io_start"
	case tracepoint(kernel, "block_getrq") == 1:
		b.submit, submitter.On, submitter.Why = submitBioProgram, true, "block_getrq, by bio"
	case tracepoint(kernel, "block_getrq") > 1:
		b.submit, submitter.On, submitter.Why = submitBioQueueProgram, true, "block_getrq, by bio"
	default:
		submitter.Why = "the kernel has neither block_io_start (6.5 and newer) nor block_getrq"
	}
	split := Feature{FeatureBlockSplit, true, "request.io_start_time_ns, else block_rq_issue"}
	switch tracepoint(kernel, "block_rq_issue") {
	case 1:
		b.issue = issueProgram
	case 2:
		b.issue = issueQueueProgram
	default:
		split.Why = "request.io_start_time_ns alone: the kernel has no block_rq_issue"
	}
	cgroup := Feature{Name: FeatureBlockCgroup, Why: "the kernel charges no block I/O to cgroups (CONFIG_BLK_CGROUP)"}
	if has(kernel, "bio", "bi_blkg") {
		cgroup.On, cgroup.Why = true, "bio.bi_blkg"
	}
	missed := missedFeature(kernel)
	missed.Name = FeatureBlockMissed
	b.features = []Feature{cgroup, submitter, split, missed}
}

// tracepoint is how many arguments a kernel's tracepoint has, -1 if there is no
// such tracepoint.
func tracepoint(kernel *btf.Spec, name string) int {
	var def *btf.Typedef
	if err := kernel.TypeByName("btf_trace_"+name, &def); err != nil {
		return -1
	}
	ptr, ok := def.Type.(*btf.Pointer)
	if !ok {
		return -1
	}
	proto, ok := ptr.Target.(*btf.FuncProto)
	if !ok {
		return -1
	}
	return len(proto.Params) - 1 // the first is the tracing program's own
}

// mapperMajor is the device mapper's major number, 0 if there is none as yet.
func mapperMajor(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	block := false
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		block = block || line == "Block devices:"
		number, name, _ := strings.Cut(line, " ")
		if !block || name != "device-mapper" {
			continue
		}
		var major uint32
		if _, err := fmt.Sscan(number, &major); err != nil || major >= 1<<12 {
			return 0, fmt.Errorf("%s: %.40q has no major number of a block device", path, line)
		}
		return major, nil
	}
	return 0, lines.Err()
}
