package procfs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxCPUs is the largest number of CPUs that Linux can be built for.
const MaxCPUs = 8192

// CPUs is a set of CPU numbers, ascending, each once.
type CPUs []int

// ParseCPUs reads the kernel's list format, such as "0-3,8"; "" is the empty
// set. Strides ("0-7:2/4") are an input format of the kernel only and refused.
func ParseCPUs(list string) (CPUs, error) {
	list = strings.TrimSpace(list)
	if list == "" {
		return nil, nil
	}
	if len(list) > maxTable {
		return nil, errors.New("CPU list is too long")
	}
	var cpus CPUs
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		lo, okLo := parseCPU(first)
		hi, okHi := parseCPU(last)
		if !okLo || !okHi || hi < lo {
			return nil, fmt.Errorf("CPU list has %q, want N or N-M with N <= M < %d", part, MaxCPUs)
		}
		if len(cpus)+hi-lo >= 2*MaxCPUs {
			return nil, fmt.Errorf("CPU list names more than %d CPUs", MaxCPUs)
		}
		for c := lo; c <= hi; c++ {
			cpus = append(cpus, c)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

func parseCPU(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n < MaxCPUs
}

// String writes the kernel's list format.
func (c CPUs) String() string {
	var b strings.Builder
	for i := 0; i < len(c); {
		j := i
		for j+1 < len(c) && c[j+1] == c[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(c[i]))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(c[j]))
		}
		i = j + 1
	}
	return b.String()
}

// Has says whether the set holds the CPU.
func (c CPUs) Has(cpu int) bool {
	_, ok := slices.BinarySearch(c, cpu)
	return ok
}

// And returns the CPUs that are in both sets.
func (c CPUs) And(other CPUs) CPUs {
	var both CPUs
	for _, cpu := range c {
		if other.Has(cpu) {
			both = append(both, cpu)
		}
	}
	return both
}

// OnlineCPUs lists the CPUs that the kernel schedules on now.
func (r Reader) OnlineCPUs() (CPUs, error) {
	cpus, err := r.cpuList(sysCPU + "online")
	if err == nil && len(cpus) == 0 {
		err = malformed(sysCPU+"online", "no CPU is online")
	}
	return cpus, err
}

func (r Reader) cpuList(path string) (CPUs, error) {
	text, err := r.read(path, 64<<10)
	if err != nil {
		return nil, err
	}
	cpus, err := ParseCPUs(text)
	if err != nil {
		return nil, malformed(path, err.Error())
	}
	return cpus, nil
}
