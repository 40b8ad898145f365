package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// machine asks for the kind of guest and its machine type.
func (f *fitting) machine() (Guests, bool) {
	g, ok := f.to.guests(f.need.Arch, f.need.Virt)
	switch {
	case !ok && f.need.Virt == "kvm":
		f.hinder(CodeMachineType, "load the module kvm_intel or kvm_amd there, and enable virtualisation in its BIOS", "it is a guest of kind %s under KVM, and such cannot run there", f.need.Arch)
		return g, false
	case !ok:
		f.hinder(CodeMachineType, "install that emulator there", "it is a guest of kind %s (%s), and such cannot run there", f.need.Arch, f.need.Virt)
		return g, false
	case !slices.Contains(g.Machines, f.need.Machine):
		f.hinder(CodeMachineType, "upgrade QEMU there, or give the VM an older machine type and restart it", "its machine type %s is not known there (QEMU %s)", f.need.Machine, f.to.QEMU)
	}
	return g, true
}

// cpuAlone are the features that QEMU lets no guest take along.
func (f *fitting) cpuAlone() {
	if slices.Contains(f.need.CPU.Require, "invtsc") {
		f.hinder(CodeInvariantTSC, "take the feature invtsc out of its definition", "its CPU has an invariant time stamp counter, which is its host's")
	}
}

// cpu asks for the guest's CPU. What a guest saw that was given the host's own
// CPU is known only to be there where all that makes it up is equal.
func (f *fitting) cpu(to Guests) {
	c := &f.need.CPU
	switch c.Mode {
	case "host-passthrough", "maximum":
		f.sameCPU()
		return
	case "", "host-model":
		return // no CPU of its own choice; or libvirt has not replaced it yet
	}
	if c.Features != nil && to.Features != nil {
		if missing := without(c.Features, to.Features); len(missing) > 0 {
			f.hinder(CodeCPUIncompatible, "give it a CPU model that both hosts have (virsh hypervisor-cpu-baseline) and restart it",
				"its CPU (%s) has %s, and the CPU there has not", c.Model, some(missing))
		}
		return
	}
	if c.Model != "" && to.Models != nil && !slices.Contains(to.Models, c.Model) {
		f.hinder(CodeCPUIncompatible, "give it a CPU model that both hosts have (virsh hypervisor-cpu-baseline) and restart it",
			"its CPU model %s cannot be given there", c.Model)
	}
}

func (f *fitting) sameCPU() {
	var differ []string
	for _, d := range []struct{ what, from, to string }{
		{"processor", f.from.Processor, f.to.Processor},
		{"kernel", f.from.Kernel, f.to.Kernel},
		{"QEMU", f.from.QEMU.String(), f.to.QEMU.String()},
		{"KVM's parameters", f.from.KVM, f.to.KVM},
	} {
		if d.what != "QEMU" && f.need.Virt != "kvm" {
			continue // QEMU emulates: the CPU is QEMU's own
		}
		if d.from != d.to {
			differ = append(differ, fmt.Sprintf("%s (%s, there %s)", d.what, cmp.Or(d.from, "none"), cmp.Or(d.to, "none")))
		}
	}
	if len(differ) > 0 {
		f.hinder(CodeCPUIncompatible, "give it a CPU model that both hosts have (virsh hypervisor-cpu-baseline) and restart it",
			"it has its host's own CPU (%s), and the hosts differ in %s", f.need.CPU.Mode, strings.Join(differ, ", "))
	}
}

// releases holds pairs apart that VMs can go through one way only: an older
// QEMU cannot read all that a newer one wrote.
func (f *fitting) releases() {
	if before(f.to.QEMU, f.from.QEMU) {
		f.hinder(CodeOneWay, "upgrade QEMU there first", "QEMU is %s on its host and %s there: an older one need not understand a newer one's VM", f.from.QEMU, f.to.QEMU)
		return
	}
	n := len(f.out)
	switch {
	case before(f.from.QEMU, f.to.QEMU):
		f.hinder(CodeOneWay, "upgrade QEMU on its host, too, or order the move yourself", "QEMU is %s on its host and %s there: the VM could not come back", f.from.QEMU, f.to.QEMU)
	case before(f.to.Libvirt, f.from.Libvirt), before(f.from.Libvirt, f.to.Libvirt):
		f.hinder(CodeOneWay, "upgrade libvirt to one version on both, or order the move yourself", "libvirt is %s on its host and %s there: the way is sure in one direction only", f.from.Libvirt, f.to.Libvirt)
	}
	for i := n; i < len(f.out); i++ {
		f.out[i].Auto = true
	}
}

// hooks keeps automatic moves from hosts that do other things in the midst of a
// migration: libvirt runs the target's hook before the VM comes, and a hook that
// is missing there leaves undone what it did for the VM on its host.
func (f *fitting) hooks() {
	if a, b := f.from.Hooks, f.to.Hooks; a != "" && b != "" && a != b {
		f.hinder(CodeHooksDiffer, "make the folder alike on both hosts, or order the move yourself", "libvirt's hooks (/etc/libvirt/hooks) are %s on its host and %s there", a, b)
		f.out[len(f.out)-1].Auto = true
	}
}

// before compares two releases by major and minor: the third number mends, and
// changes no format.
func before(a, b SoftwareVersion) bool {
	if a == (SoftwareVersion{}) || b == (SoftwareVersion{}) {
		return false
	}
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}

func (r SoftwareVersion) String() string {
	if r == (SoftwareVersion{}) {
		return "of no known version"
	}
	return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2])
}

// without lists what is in a and not in b; both are sorted.
func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if _, ok := slices.BinarySearch(b, s); !ok {
			out = append(out, s)
		}
	}
	return out
}

// some names the first few of many.
func some(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}
