package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const maxCPU = 8191 // the kernel's NR_CPUS limit on x86

// parseCPUList reads the kernel's list format, such as 0-3,8, into sorted
// numbers.
func parseCPUList(s string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from > to || to > maxCPU {
			return nil, fmt.Errorf("CPU list %q: %q is neither a CPU nor a range of CPUs up to %d", s, part, maxCPU)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// formatCPUList is the inverse, with ranges where they are shorter.
func formatCPUList(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// shareOf is the part of the machine's CPUs that the i-th of n hypervisors
// gets: neighbours, so that they share a cache, and as equal as they can be.
// More hypervisors than CPUs share.
func shareOf(cpus []int, i, n int) []int {
	if n > len(cpus) {
		k := i % len(cpus)
		return cpus[k : k+1]
	}
	return cpus[i*len(cpus)/n : (i+1)*len(cpus)/n]
}
