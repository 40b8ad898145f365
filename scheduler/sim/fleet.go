package sim

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Fleet is a fleet that is made, of traces or by a generator, when its scenario
// is loaded.
type Fleet struct {
	Kind       string // planetlab, bitbrains or synthetic
	Path       string // folder of the traces, as the scenario names it
	Hosts, VMs int
	// Load is the CPU that the VMs ask for on average, overlays left out, as a
	// share of all hosts' CPUs: hosts are made as large as it takes. Filled is the
	// same of memory.
	Load, Filled cluster.Ratio
	Link         cluster.BytesPerSecond
}

// sampled is what a sample of the public traces spans.
const sampled = 5 * time.Minute

// Files gives the files of a folder that a scenario names.
type Files func(folder string) (fs.FS, error)

// Load makes the fleets that a scenario asks for, by its seed. Without any it
// changes nothing.
func (s Scenario) Load(files Files) (Scenario, error) {
	s.Hosts, s.VMs = slices.Clone(s.Hosts), slices.Clone(s.VMs)
	for i, f := range s.Fleets {
		rng := rand.New(rand.NewPCG(s.Seed, uint64(i)+1))
		vms, err := f.vms(rng, files)
		if err != nil {
			return Scenario{}, fmt.Errorf("%s: fleet %d, %s: %w", s.Name, i+1, f.Kind, err)
		}
		if err := s.settle(f, i, vms, rng); err != nil {
			return Scenario{}, fmt.Errorf("%s: fleet %d, %s: %w", s.Name, i+1, f.Kind, err)
		}
	}
	s.Fleets = nil
	if err := s.check(); err != nil {
		return Scenario{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	return s, nil
}

func (f Fleet) check() error {
	switch {
	case !slices.Contains([]string{"planetlab", "bitbrains", "synthetic"}, f.Kind):
		return fmt.Errorf("traces %.40q, must be planetlab or bitbrains", f.Kind)
	case f.Kind != "synthetic" && f.Path == "":
		return fmt.Errorf("path is missing: the folder of the traces")
	case f.Hosts < 1 || f.Hosts > maxHosts || f.VMs < 1 || f.VMs > maxVMs:
		return fmt.Errorf("hosts=%d vms=%d, must be 1 to %d hosts and 1 to %d VMs", f.Hosts, f.VMs, maxHosts, maxVMs)
	case f.Load < cluster.Percent(1) || f.Load > cluster.Whole || f.Filled < cluster.Percent(1) || f.Filled > cluster.Whole:
		return fmt.Errorf("load=%v filled=%v, must lie between 1 %% and 100 %%", f.Load, f.Filled)
	case f.Link <= 0:
		return fmt.Errorf("link must be above 0")
	}
	return nil
}

func (f Fleet) vms(rng *rand.Rand, files Files) ([]VM, error) {
	if f.Kind == "synthetic" {
		return f.synthetic(rng), nil
	}
	if files == nil {
		return nil, fmt.Errorf("no files may be read here")
	}
	folder, err := files(f.Path)
	if err != nil {
		return nil, err
	}
	if f.Kind == "planetlab" {
		return f.planetLab(rng, folder)
	}
	return f.bitbrains(rng, folder)
}

// sizes are vCPUs of VMs whose traces name none.
var sizes = []int{1, 2, 4, 8}

// perVCPU is the memory of such a VM for each vCPU.
const perVCPU = 2 * cluster.GiB

// sized is a VM of a size that is drawn. It dirties memory as VMs do that
// serve: from 2 to 64 MiB/s, each doubling as likely as the next.
func sized(rng *rand.Rand, vcpus int, memory cluster.Bytes) VM {
	dirty := math.Exp2(1 + 5*rng.Float64())
	return VM{VCPUs: vcpus, Memory: memory, Dirty: cluster.BytesPerSecond(dirty * float64(cluster.MiB))}
}

// planetLab makes VMs of the PlanetLab traces: a file a day, in each a line a
// VM, percentages. The days are not adjacent and VMs come and go, so a VM here
// has a line of each day, drawn by lot.
func (f Fleet) planetLab(rng *rand.Rand, folder fs.FS) ([]VM, error) {
	days, err := fs.Glob(folder, "*.txt*")
	if err != nil {
		return nil, err
	}
	if len(days) == 0 || len(days) > 31 {
		return nil, fmt.Errorf("%s has %d files *.txt or *.txt.gz, must be 1 to 31, one a day", f.Path, len(days))
	}
	vms := make([]VM, f.VMs)
	for i := range vms {
		vcpus := sizes[rng.IntN(len(sizes))]
		vms[i] = sized(rng, vcpus, cluster.Bytes(vcpus)*perVCPU)
		vms[i].Trace = &Trace{Every: sampled}
	}
	for _, day := range days {
		file, err := fs.ReadFile(folder, day)
		if err != nil {
			return nil, err
		}
		lines, err := decodeSeries(file, 100)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", day, err)
		}
		order := rng.Perm(len(lines))
		for i := range vms {
			for _, percent := range lines[order[i%len(order)]].samples {
				vms[i].Trace.CPU = append(vms[i].Trace.CPU, cluster.MilliCPU(int64(percent)*int64(vms[i].VCPUs)*10))
			}
		}
	}
	return vms, nil
}

// bitbrains makes VMs of the Bitbrains traces, which name their sizes.
func (f Fleet) bitbrains(rng *rand.Rand, folder fs.FS) ([]VM, error) {
	list, err := fs.ReadFile(folder, "vms.txt")
	if err != nil {
		return nil, err
	}
	all, err := decodeSizes(list)
	if err != nil {
		return nil, fmt.Errorf("vms.txt: %w", err)
	}
	const use = "cpu_mhz.txt.gz"
	file, err := fs.ReadFile(folder, use)
	if err != nil {
		return nil, err
	}
	lines, err := decodeSeries(file, maxSample)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", use, err)
	}
	lines = slices.DeleteFunc(lines, func(l series) bool { return all[l.name].vcpus == 0 })
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s: none of its VMs is in vms.txt with a size", use)
	}
	order := rng.Perm(len(lines))
	vms := make([]VM, f.VMs)
	for i := range vms {
		line := lines[order[i%len(order)]]
		size := all[line.name]
		vms[i] = sized(rng, size.vcpus, size.memory)
		vms[i].Trace = &Trace{Every: sampled}
		most := int64(size.vcpus) * 1000
		for _, mhz := range line.samples {
			vms[i].Trace.CPU = append(vms[i].Trace.CPU, cluster.MilliCPU(min(int64(mhz)*most/size.mhz, most)))
		}
	}
	return vms, nil
}

// settle makes hosts that the VMs load as asked, and puts each VM on one by
// lot.
func (s *Scenario) settle(f Fleet, nth int, vms []VM, rng *rand.Rand) error {
	var cpu cluster.MilliCPU
	var memory, largest cluster.Bytes
	for _, v := range vms {
		cpu += v.Trace.mean()
		memory += v.Memory + cluster.VMOverhead
		largest = max(largest, v.Memory+cluster.VMOverhead)
	}
	if cpu == 0 {
		return fmt.Errorf("its VMs ask for no CPU at all")
	}
	host := Host{
		CPUs:   cluster.MilliCPU(math.Ceil(float64(cpu) / f.Load.Float() / float64(f.Hosts))),
		Memory: max(cluster.Bytes(float64(memory)/f.Filled.Float()/float64(f.Hosts)), largest),
		Link:   f.Link,
	}
	first, free := len(s.Hosts), make([]cluster.Bytes, f.Hosts)
	for i := range f.Hosts {
		host.Name = fmt.Sprintf("hv%d-%02d", nth+1, i+1)
		s.Hosts, free[i] = append(s.Hosts, host), host.Memory
	}
	slices.SortStableFunc(vms, func(a, b VM) int { return cmp.Compare(b.Memory, a.Memory) }) // the largest while there is room
	for i, v := range vms {
		v.Name = fmt.Sprintf("vm%d-%04d", nth+1, i+1)
		at := rng.IntN(f.Hosts)
		for tries := 0; free[at] < v.Memory+cluster.VMOverhead; at = (at + 1) % f.Hosts {
			if tries++; tries > f.Hosts {
				return fmt.Errorf("%s with %v finds no room; lower filled", v.Name, v.Memory)
			}
		}
		free[at] -= v.Memory + cluster.VMOverhead
		v.On = s.Hosts[first+at].Name
		s.VMs = append(s.VMs, v)
	}
	return nil
}

// synthetic makes VMs whose load has a level, a day and a night, and noise:
// what traces have, without their files.
func (f Fleet) synthetic(rng *rand.Rand) []VM {
	const day = int(24 * time.Hour / sampled)
	vms := make([]VM, f.VMs)
	for i := range vms {
		vcpus := sizes[rng.IntN(len(sizes))]
		v := sized(rng, vcpus, cluster.Bytes(vcpus)*perVCPU)
		v.Trace = &Trace{Every: sampled, CPU: make([]cluster.MilliCPU, 7*day)}
		level, swing, peak := 0.05+0.4*rng.Float64()*rng.Float64(), rng.Float64(), day/3+rng.IntN(day/2)
		noise := 0.0
		for k := range v.Trace.CPU {
			noise = float64(0.9*noise) + float64(0.1*rng.NormFloat64())
			hour := 1 + float64(swing*math.Cos(2*math.Pi*float64(k%day-peak)/float64(day)))
			share := min(max(float64(level*hour)*(1+noise), 0), 1)
			v.Trace.CPU[k] = cluster.MilliCPU(share * float64(vcpus) * 1000)
		}
		vms[i] = v
	}
	return vms
}
