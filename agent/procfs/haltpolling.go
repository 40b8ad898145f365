package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// ErrNoKVMStats means that KVM's statistics of a VM cannot be read: debugfs is
// not mounted or locked down, or the VM runs without KVM. It says nothing of
// how much the VM polls.
var ErrNoKVMStats = errors.New("no statistics of KVM's: mount debugfs on /sys/kernel/debug, and run as root")

const kvmStats = "sys/kernel/debug/kvm"

// HaltPolling is how long the vCPUs of a VM have spun, in ns since it began,
// instead of sleeping, in case something comes soon (KVM's halt polling). It
// is part of their run time. Kernels before 5.11 do not tell.
func (r Reader) HaltPolling(pid int) (ns uint64, err error) {
	entries, err := fs.ReadDir(r.root, kvmStats)
	if err != nil {
		return 0, ErrNoKVMStats // also without the right to look
	}
	for _, e := range entries { // PID-FD; a process may have several VMs
		if !strings.HasPrefix(e.Name(), strconv.Itoa(pid)+"-") {
			continue
		}
		for _, name := range []string{"halt_poll_success_ns", "halt_poll_fail_ns"} {
			path := kvmStats + "/" + e.Name() + "/" + name
			text, err := r.read(path, maxSmall)
			if errors.Is(err, fs.ErrNotExist) {
				return 0, ErrNoKVMStats
			}
			if err != nil {
				return 0, err
			}
			one, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
			if err != nil || one > math.MaxUint64-ns {
				return 0, malformed(path, fmt.Sprintf("%q, want ns", clip(text)))
			}
			ns += one
		}
		return ns, nil
	}
	return 0, ErrNoKVMStats
}
