package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Cores groups CPUs that share a core (SMT, hyper-threads): one element for
// each core, with those of its threads that are among the given CPUs, in the
// order of the lowest one. Two busy threads of one core do much less than
// twice what one does.
func (r Reader) Cores(cpus CPUs) ([]CPUs, error) {
	var cores []CPUs
	seen := map[int]bool{}
	for _, cpu := range cpus {
		if seen[cpu] {
			continue
		}
		threads, err := r.siblings(cpu)
		if err != nil {
			return nil, err
		}
		core := threads.And(cpus)
		for _, c := range core {
			if seen[c] {
				return nil, malformed(topology(cpu), fmt.Sprintf("CPU %d is in two cores", c))
			}
			seen[c] = true
		}
		cores = append(cores, core)
	}
	return cores, nil
}

func topology(cpu int) string { return sysCPU + "cpu" + strconv.Itoa(cpu) + "/topology/" }

// siblings are the CPUs of one core. The file's name was another before 5.1.
func (r Reader) siblings(cpu int) (CPUs, error) {
	path := topology(cpu) + "core_cpus_list"
	list, err := r.cpuList(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = topology(cpu) + "thread_siblings_list"
		list, err = r.cpuList(path)
	}
	if err != nil {
		return nil, err
	}
	if !list.Has(cpu) {
		return nil, malformed(path, fmt.Sprintf("CPU %d is not in its own core %q", cpu, list.String()))
	}
	return list, nil
}

// Speed is how fast a CPU is. Frequencies are in kHz, 0 where the kernel says
// nothing: a virtual machine has no cpufreq, base is told by few drivers.
type Speed struct {
	Model      string // "AMD EPYC 7763 64-Core Processor", "" on machines that don't say
	MaxKHz     uint64 // with boost
	BaseKHz    uint64 // what it holds when all cores are busy
	CurrentKHz uint64
}

// Speed reads one CPU's.
func (r Reader) Speed(cpu int) (Speed, error) {
	text, err := r.read(procRoot+"cpuinfo", maxCPUInfo)
	if err != nil {
		return Speed{}, err
	}
	s, err := parseCPUInfo(text, cpu)
	if err != nil {
		return Speed{}, malformed(procRoot+"cpuinfo", err.Error())
	}
	dir := sysCPU + "cpu" + strconv.Itoa(cpu) + "/cpufreq/"
	for name, into := range map[string]*uint64{
		"cpuinfo_max_freq": &s.MaxKHz, "base_frequency": &s.BaseKHz, "scaling_cur_freq": &s.CurrentKHz,
	} {
		khz, err := r.kilohertz(dir + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Speed{}, err
		}
		*into = khz
	}
	return s, nil
}

const (
	maxCPUInfo = 16 << 20 // a few KiB for each CPU
	maxKHz     = 100e6    // 100 GHz is no CPU
)

func (r Reader) kilohertz(path string) (uint64, error) {
	text, err := r.read(path, maxSmall)
	if err != nil {
		return 0, err
	}
	khz, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil || khz == 0 || khz > maxKHz {
		return 0, malformed(path, fmt.Sprintf("%q, want a frequency in kHz", clip(text)))
	}
	return khz, nil
}

// parseCPUInfo takes one CPU's model and present frequency. Architectures
// differ in what they say; only "processor: N" is common to those with Linux
// guests worth moving.
func parseCPUInfo(text string, cpu int) (s Speed, err error) {
	at, found := -1, false
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			n, ok := parseCPU(value)
			if !ok {
				return Speed{}, fmt.Errorf("processor %q", clip(value))
			}
			at = n
			found = found || at == cpu
		case "model name":
			if at == cpu {
				s.Model = clip(strings.ToValidUTF8(value, "?"))
			}
		case "cpu MHz":
			if at != cpu {
				continue
			}
			mhz, err := strconv.ParseFloat(value, 64)
			if err != nil || !(mhz > 0 && mhz <= maxKHz/1000) {
				return Speed{}, fmt.Errorf("cpu MHz %q", clip(value))
			}
			s.CurrentKHz = uint64(mhz * 1000)
		}
	}
	if !found {
		return Speed{}, fmt.Errorf("no processor %d", cpu)
	}
	return s, nil
}
