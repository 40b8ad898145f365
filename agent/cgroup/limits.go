package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// Reader reads groups below one root. It keeps no state.
type Reader struct{ proc procfs.Reader }

// New makes a reader of the tree that proc reads.
func New(proc procfs.Reader) Reader { return Reader{proc} }

// Level is one group on the way from a VM's threads to the root.
type Level struct {
	Path     string   // of the group in its hierarchy
	Quota    Quota    // zero: none
	Throttle Throttle // not Known without a quota, or on old kernels
}

// Limits are the CPU quotas that hold a VM, where libvirt and the host's
// administrator may set them.
type Limits struct {
	VCPU   []Level // of vCPU 0, 1, ...; a vCPU without a group of its own has no Path
	VM     []Level // the VM's own groups that hold all its vCPUs, innermost first
	Slices []Level // groups above them, shared with others: a tenant's slice, machine.slice
	// Weight is the VM's own group's among the groups beside it, in hundredths of
	// what a group has to which nobody gave any; 0: the VM has no group of its own,
	// or the kernel does not say.
	Weight int64
}

// maxDepth bounds the levels above a group; systemd nests slices a few deep.
const maxDepth = 64

// Limits reads them for the VM whose QEMU process is pid, with the vCPUs 0 to
// vcpus-1. libvirt puts QEMU's main thread into the group "emulator", beside
// "vcpuN" and "iothreadN", in the VM's group (in "libvirt" below it where
// systemd manages that). A QEMU without a group of its own has no VM levels:
// everything above it is shared.
func (r Reader) Limits(pid, vcpus int) (Limits, error) {
	leaf, err := r.proc.Group(pid, "cpu")
	if err != nil {
		return Limits{}, err
	}
	var l Limits
	top, own := owner(leaf)
	if own {
		inner := top
		if leaf.Path != top.Path {
			inner = leaf
			if isPart(leaf.Name()) {
				inner, _ = leaf.Parent()
			}
		}
		if l.VCPU, err = r.vcpus(inner, vcpus); err != nil {
			return Limits{}, err
		}
		if l.VM, err = r.between(inner, top); err != nil {
			return Limits{}, err
		}
		if l.Weight, err = r.weight(top); err != nil {
			return Limits{}, err
		}
	}
	from, any := leaf, true
	if own {
		from, any = top.Parent()
	}
	if any {
		root := from
		root.Path = "/"
		l.Slices, err = r.between(from, root)
	}
	return l, err
}

// part is a group that libvirt makes for some threads of a VM.
var part = regexp.MustCompile(`^(emulator|vcpu[0-9]+|iothread[0-9]+)$`)

func isPart(name string) bool { return part.MatchString(name) }

// vmGroup is how libvirt calls a VM's group: "machine-qemu\x2d1\x2dweb.scope"
// under systemd, "qemu-1-web.libvirt-qemu" or "web.libvirt-qemu" without.
var vmGroup = regexp.MustCompile(`^(machine-qemu\\x2d.+\.scope|.+\.libvirt-qemu)$`)

// owner is the outermost group that belongs to the VM alone.
func owner(leaf procfs.Group) (procfs.Group, bool) {
	for g, ok := leaf, true; ok; g, ok = g.Parent() {
		if vmGroup.MatchString(g.Name()) {
			return g, true
		}
	}
	// Whoever renames the VM's group (a partition of its own, KubeVirt) still
	// has libvirt's parts below it.
	if g, ok := leaf.Parent(); ok && isPart(leaf.Name()) {
		if up, ok := g.Parent(); ok && g.Name() == "libvirt" {
			return up, true
		}
		return g, true
	}
	return procfs.Group{}, false
}

// between reads the levels from the inner group to the outer one, both
// included. The root of a hierarchy has no limits and is passed over.
func (r Reader) between(inner, outer procfs.Group) ([]Level, error) {
	var levels []Level
	for g := inner; g.Path != "/"; g, _ = g.Parent() {
		if len(levels) == maxDepth {
			return nil, fmt.Errorf("group %s is more than %d deep", inner.Path, maxDepth)
		}
		level, err := r.level(g)
		if err != nil {
			return nil, err
		}
		levels = append(levels, level)
		if g.Path == outer.Path {
			break
		}
	}
	return levels, nil
}

func (r Reader) vcpus(inner procfs.Group, n int) ([]Level, error) {
	levels := make([]Level, max(n, 0))
	for i := range levels {
		level, err := r.level(inner.Child("vcpu" + strconv.Itoa(i)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		levels[i] = level
	}
	return levels, nil
}

// level reads one group. On v2 a group for which the controller is not enabled
// has no file for it, and so no quota.
func (r Reader) level(g procfs.Group) (Level, error) {
	dir := g.Dir()
	if _, err := fs.Stat(r.proc.FS(), dir); err != nil {
		return Level{}, fmt.Errorf("group /%s: %w", dir, err)
	}
	l := Level{Path: g.Path}
	var err error
	if g.V2 {
		l.Quota, err = read(r, dir+"/cpu.max", parseMax)
	} else {
		l.Quota, err = r.quotaV1(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return Level{}, err
	}
	l.Throttle, err = read(r, dir+"/cpu.stat", parseThrottle)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // without CONFIG_CFS_BANDWIDTH
	}
	return l, err
}

func (r Reader) quotaV1(dir string) (Quota, error) {
	quota, err := read(r, dir+"/cpu.cfs_quota_us", parseQuotaV1)
	if err != nil || quota == 0 {
		return Quota{}, err
	}
	period, err := read(r, dir+"/cpu.cfs_period_us", parseMicroseconds)
	return Quota{quota, period}, err
}
