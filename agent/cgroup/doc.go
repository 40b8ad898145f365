// Package cgroup reads what control groups do to a VM: how much CPU time its
// quotas leave it, how long they have held it back, and which group its block
// I/O is charged to. Give a [Reader] the VM's QEMU process:
//
//	r := cgroup.New(procfs.Host())
//	limits, err := r.Limits(pid, len(vcpus))
//	share, limited := limits.Own()   // thousandths of a CPU that its own quotas leave it
//
// It works on v1, v2 and both mounted side by side, and reads only.
package cgroup
