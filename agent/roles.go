package agent

import (
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
)

// roles says what each of QEMU's threads does. vcpus are the threads of vCPU
// 0, 1, ... as the hypervisor names them (-1 for an offline one); all else is
// told by the names that QEMU gives its threads, as libvirt has it do.
func roles(pid int, threads []procfs.Thread, vcpus []int) []bpf.Thread {
	number := make(map[int]int, len(vcpus))
	for n, tid := range vcpus {
		if tid > 0 {
			number[tid] = n
		}
	}
	out := make([]bpf.Thread, 0, len(threads))
	for _, t := range threads {
		th := bpf.Thread{TID: t.TID, Start: uint64(t.StartTime), VCPU: -1, Role: roleOf(pid, t)}
		if n, is := number[t.TID]; is {
			th.VCPU, th.Role = n, bpf.RoleVCPU
		}
		out = append(out, th)
	}
	return out
}

// roleOf goes by the name. QEMU 5 to 10 name an iothread "IO " and its id
// (libvirt's ids are iothread1, iothread2, ...); "IO mon_iothread" is no such:
// it carries only what the monitor says, no request of the guest's. A thread
// bears its creator's name until it gives itself its own, so whoever has
// no name that is known is a worker until the next look.
func roleOf(pid int, t procfs.Thread) bpf.Role {
	switch {
	case t.TID == pid:
		return bpf.RoleEmulator
	case t.Comm == "IO mon_iothread":
		return bpf.RoleWorker
	case strings.HasPrefix(t.Comm, "IO "):
		return bpf.RoleIO
	case vhostOwner(t.Comm) > 0:
		return bpf.RoleVhost
	}
	return bpf.RoleWorker
}

// vhostOwner is the process id in a vhost worker's name, "vhost-1234", 0 if it
// is none. Before Linux 6.4 vhost workers are kernel threads, and can be again
// where the administrator wants it so (vhost.fork_from_owner_default, 6.17);
// else they are threads of the process that owns the device.
func vhostOwner(comm string) int {
	digits, ok := strings.CutPrefix(comm, "vhost-")
	pid, err := strconv.ParseUint(digits, 10, 22)
	if !ok || err != nil || strconv.FormatUint(pid, 10) != digits {
		return 0
	}
	return int(pid)
}

// vhostKernelThreads picks the vhost workers among the kernel's threads, by the
// process that they serve.
func vhostKernelThreads(kernel []procfs.Thread) map[int][]bpf.Thread {
	out := map[int][]bpf.Thread{}
	for _, t := range kernel {
		if pid := vhostOwner(t.Comm); pid > 0 {
			out[pid] = append(out[pid], bpf.Thread{TID: t.TID, Start: uint64(t.StartTime), VCPU: -1, Role: bpf.RoleVhost})
		}
	}
	return out
}
