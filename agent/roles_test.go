package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
)

// The threads of a QEMU 8 with two vCPUs, one iothread, vhost-net on a kernel
// newer than 6.4, VNC, a thread pool and a migration under way.
func TestRoles(t *testing.T) {
	names := []string{
		"qemu-system-x86", "call_rcu", "IO mon_iothread", "IO iothread1", "CPU 0/KVM", "CPU 1/KVM",
		"worker", "vnc_worker", "live_migration", "multifdsend_0", "vhost-500", "qemu-system-x86", "vhost-", "vhost-0500", "IO",
	}
	var list []procfs.Thread
	for i, n := range names {
		list = append(list, procfs.Thread{TID: 500 + i, Comm: n, StartTime: 7})
	}
	got := map[string]bpf.Role{}
	for i, th := range roles(500, list, []int{504, 505, -1}) {
		if want := map[int]int{504: 0, 505: 1}; th.TID != 500+i || th.Start != 7 || (th.VCPU >= 0) != (th.Role == bpf.RoleVCPU) ||
			th.VCPU >= 0 && want[th.TID] != th.VCPU {
			t.Errorf("thread %d is %+v", 500+i, th)
		}
		if i != 11 {
			got[names[i]] = th.Role
		} else if th.Role != bpf.RoleWorker {
			t.Errorf("a thread that has not named itself yet is %v", th.Role)
		}
	}
	want := map[string]bpf.Role{
		"qemu-system-x86": bpf.RoleEmulator, "IO iothread1": bpf.RoleIO, "CPU 0/KVM": bpf.RoleVCPU, "CPU 1/KVM": bpf.RoleVCPU,
		"vhost-500": bpf.RoleVhost, "call_rcu": bpf.RoleWorker, "IO mon_iothread": bpf.RoleWorker, "worker": bpf.RoleWorker,
		"vnc_worker": bpf.RoleWorker, "live_migration": bpf.RoleWorker, "multifdsend_0": bpf.RoleWorker, "vhost-": bpf.RoleWorker,
		"vhost-0500": bpf.RoleWorker, "IO": bpf.RoleWorker,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVhostKernelThreads(t *testing.T) {
	got := vhostKernelThreads([]procfs.Thread{{TID: 2, Comm: "kthreadd"}, {TID: 90, Comm: "vhost-500", StartTime: 3}, {TID: 91, Comm: "vhost-500"}, {TID: 92, Comm: "vhost-4194304"}})
	want := map[int][]bpf.Thread{500: {{TID: 90, Start: 3, VCPU: -1, Role: bpf.RoleVhost}, {TID: 91, VCPU: -1, Role: bpf.RoleVhost}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
