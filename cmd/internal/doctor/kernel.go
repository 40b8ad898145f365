package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/bpf"
)

func (v *visit) kernel() Finding {
	release := "unknown"
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		release = unix.ByteSliceToString(u.Release[:])
	}
	if v.witness() {
		return pass("%s; a witness measures nothing", release)
	}
	info, err := fs.Stat(v.Proc.FS(), "sys/kernel/btf/vmlinux")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("boot a kernel with CONFIG_DEBUG_INFO_BTF=y, 5.10 or newer; every current distribution has one", "%s has no type information (/sys/kernel/btf/vmlinux)", release)
	case err != nil:
		return fail("mount /sys", "%v", err)
	}
	return pass("%s, type information of %d KiB", release, info.Size()>>10)
}

// The capabilities that loading and reading need.
const (
	capSysAdmin = 21
	capPerfmon  = 38
	capBPF      = 39
)

func (v *visit) capabilities() Finding {
	if v.witness() {
		return skip("a witness needs none")
	}
	set, err := v.effective()
	if err != nil {
		return fail("mount /proc", "%v", err)
	}
	has := func(c uint) bool { return set&(1<<c) != 0 }
	switch {
	case has(capSysAdmin) || has(capBPF) && has(capPerfmon):
		return pass("CAP_BPF and CAP_PERFMON are there")
	case os.Geteuid() != 0:
		return warn("run doctor as root, as evenkeeld runs", "this process may not load probes; that says nothing about evenkeeld, which runs as root")
	}
	return fail("give evenkeeld CAP_BPF and CAP_PERFMON (AmbientCapabilities in its unit; in a container, cap-add)", "neither CAP_BPF with CAP_PERFMON nor CAP_SYS_ADMIN (effective: %#x)", set)
}

// effective reads this process's effective capabilities.
func (v *visit) effective() (uint64, error) {
	data, err := fs.ReadFile(v.Proc.FS(), "proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, errors.New("/proc/self/status has no line CapEff")
}

// probe is the only check that cannot be fooled: it loads the program.
func (v *visit) probe() Finding {
	if v.witness() {
		return skip(noVMs)
	}
	const poorer = "without it waits come from schedstat: exact sums, no latencies"
	switch features, err := v.Probe(); {
	case err == nil:
		return attached(features)
	case errors.Is(err, bpf.ErrPermission) && os.Geteuid() != 0:
		return warn("run doctor as root, as evenkeeld runs", "this process may not load it")
	case errors.Is(err, bpf.ErrPermission):
		return fail("see capabilities above; also kernel lockdown (cat /sys/kernel/security/lockdown), SELinux or AppArmor may forbid it; "+poorer, "%v", err)
	case errors.Is(err, bpf.ErrUnsupported):
		return fail("boot a kernel that has what is missing; "+poorer, "%v", err)
	default:
		return fail("report it with `uname -a`; "+poorer, "%v", err)
	}
}

// attached tells what probes that load can measure, and what they cannot.
func attached(features []bpf.Feature) Finding {
	var on, off []string
	for _, f := range features {
		if f.On {
			on = append(on, f.Name)
		} else {
			off = append(off, fmt.Sprintf("%s (%s)", f.Name, f.Why))
		}
	}
	if len(off) > 0 {
		return warn("a newer kernel may have it: docs/kernels.md", "loads and attaches, without %s", strings.Join(off, "; "))
	}
	return pass("loads and attaches: %s", strings.Join(on, ", "))
}

func (v *visit) schedstat() Finding {
	if v.witness() {
		return skip(noVMs)
	}
	pid := os.Getpid()
	s, err := v.Proc.Schedstat(pid, pid)
	if err != nil {
		return fail("boot a kernel with CONFIG_SCHED_INFO; every distribution's has it", "%v", err)
	}
	if s.RunNS == 0 {
		return fail("boot a kernel with CONFIG_SCHED_INFO; every distribution's has it", "the kernel keeps no accounts of run time (/proc/%d/schedstat begins with 0)", pid)
	}
	return pass("the kernel keeps accounts of run and wait")
}

var errNotLooked = errors.New("libvirt was not asked")

// threads looks whether every vCPU is a thread whose accounts can be read.
func (v *visit) threads() Finding {
	switch {
	case v.witness():
		return skip(noVMs)
	case v.listed != nil:
		return skip("libvirt does not list VMs")
	case len(v.guests) == 0:
		return skip("no VM runs here")
	}
	vcpus := 0
	var lost []string
	for _, g := range v.guests {
		if g.PID == 0 {
			lost = append(lost, g.Name+": no QEMU process found")
			continue
		}
		for n, tid := range g.VCPUThreads {
			if tid < 0 {
				continue // an offline vCPU
			}
			if _, err := v.Proc.Schedstat(g.PID, tid); err != nil {
				lost = append(lost, fmt.Sprintf("%s vCPU %d: %v", g.Name, n, err))
				continue
			}
			vcpus++
		}
	}
	if len(lost) > 0 {
		return fail("evenkeeld must share libvirtd's PID namespace and /proc (hidepid off)", "%d vCPUs mapped, but %s", vcpus, few(lost))
	}
	return pass("%d vCPUs of %d VMs mapped to threads", vcpus, len(v.guests))
}

// few shows the first of many.
func few(list []string) string {
	const n = 3
	if len(list) <= n {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:n], "; ") + fmt.Sprintf("; and %d more", len(list)-n)
}
