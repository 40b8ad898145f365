package libvirt

import (
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// maxVCPUs bounds the vCPU number in a thread's name.
const maxVCPUs = 4096

// vcpuThreads picks the vCPU threads by the names that QEMU gives them (libvirt
// starts it with debug-threads=on): "CPU 3/KVM", "CPU 3/TCG". Element n is
// vCPU n's thread id, -1 if that one is offline, up to the last online one. TCG
// without threads runs all vCPUs in one thread, "ALL CPUs/TCG": that counts
// as vCPU 0 alone, so that no wait is counted twice.
func vcpuThreads(threads []procfs.Thread) []int {
	var tids []int
	for _, t := range threads {
		n, ok := vcpuNumber(t.Comm)
		if !ok {
			continue
		}
		for len(tids) <= n {
			tids = append(tids, -1)
		}
		tids[n] = t.TID
	}
	return tids
}

func vcpuNumber(comm string) (int, bool) {
	if strings.HasPrefix(comm, "ALL CPUs/") {
		return 0, true
	}
	rest, ok := strings.CutPrefix(comm, "CPU ")
	digits, _, slash := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || !slash || err != nil || n >= maxVCPUs {
		return 0, false
	}
	return int(n), true
}
