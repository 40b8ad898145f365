package cluster

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Need is what a VM asks of a host before it can run there, as its live
// definition on the source says it. It names no VM: VMs of one template have
// equal needs, and the State keeps each once.
type Need struct {
	Arch     string  `json:"arch"`     // "x86_64"
	Machine  string  `json:"machine"`  // canonical: "pc-q35-7.2"
	Virt     string  `json:"virt"`     // "kvm", or "qemu" if QEMU emulates
	Emulator string  `json:"emulator"` // QEMU's path
	CPU      NeedCPU `json:"cpu"`

	Links   []Link   `json:"links,omitempty"` // what its network interfaces are plugged into
	Disks   []Disk   `json:"disks,omitempty"`
	Devices []Device `json:"devices,omitempty"` // that tie it to a host, or to few
	// Firmware are the files that its BIOS comes from, on the host's own disk.
	Firmware []string `json:"firmware,omitempty"`
	Secrets  []string `json:"secrets,omitempty"` // UUIDs or usages in libvirt's store
	Listen   []string `json:"listen,omitempty"`  // addresses of one host that its displays and consoles listen on
	Pages    []Pages  `json:"pages,omitempty"`   // huge pages that its memory lies in

	// Leases says that it has leases of its own, for a lock manager to hold.
	Leases bool `json:"leases,omitempty"`
	// LockedBy is the lock manager that alone keeps a second copy of it from
	// running, in LockSpaces (none: by leases of the VM's own), "" if none does, or
	// QEMU's own locks do.
	LockedBy   string   `json:"locked_by,omitempty"`
	LockSpaces []string `json:"lock_spaces,omitempty"`

	// Pins says what ties its threads or its memory to CPUs or NUMA nodes, "" if
	// nothing does.
	Pins string `json:"pins,omitempty"`
	// CPUs are those that its vCPUs may run on, all vCPUs together; "" is all of the
	// host.
	CPUs CPUSet `json:"cpus,omitempty"`
	// Owner is the other software that moves this VM, "" if none is known.
	Owner string `json:"owner,omitempty"`
	// Snapshots counts what libvirt does not take along: snapshots, checkpoints.
	Snapshots int `json:"snapshots,omitempty"`
	// Unread is why the need could not be read, "" if it was.
	Unread string `json:"unread,omitempty"`

	// Copies are the disks that only this host has and that can be copied. They
	// are the VM's alone, and no part of the need that equal VMs share: a host
	// describes them beside it.
	Copies []DiskCopy `json:"-"`
	// Metas are the rules of its metadata, and Wrong what of it is none, see
	// [MetaRules]. They are described beside it, too.
	Metas []MetaRule `json:"-"`
	Wrong string     `json:"-"`
}

// NeedCPU is the CPU that a guest was started with and cannot do without.
type NeedCPU struct {
	Mode    string   `json:"mode"` // libvirt's: custom, host-passthrough, maximum, host-model; "" none
	Model   string   `json:"model,omitempty"`
	Require []string `json:"require,omitempty"` // features beside the model's
	Disable []string `json:"disable,omitempty"` // of the model's that it does not have
	// Features are all of them, the model's own among them, as far as the source
	// could tell; nil if it could not.
	Features []string `json:"features,omitempty"`
}

// Link is what an interface is plugged into on the host.
type Link struct {
	Kind string `json:"kind"` // libvirt's: bridge, network, direct, ethernet, vhostuser, hostdev, user, ...
	Name string `json:"name"`
}

// Disk is where a disk lies, seen from the source.
type Disk struct {
	Target string `json:"target"` // "vda"
	Kind   string `json:"kind"`   // libvirt's: file, block, network, ...
	// Point is the mount point of a file's storage, or a block device's path: it
	// must be the same at the target.
	Point string `json:"point,omitempty"`
	// Storage names what it lies on, the same on all hosts, "" if it is the
	// host's own.
	Storage string `json:"storage,omitempty"`
	Cache   string `json:"cache,omitempty"`
	// Format is the image's if libvirt could copy it along with the VM, see
	// DiskFormats; "" if it could not.
	Format string `json:"format,omitempty"`
	Media  bool   `json:"media,omitempty"` // a CD or a floppy, or read-only: it is not written
}

// Device is one that ties a VM to a host.
type Device struct {
	Kind string `json:"kind"` // see the kinds
	Name string `json:"name"`
}

// The kinds of devices.
const (
	DeviceHost   = "host"   // of the host's, handed to the guest whole
	DeviceSRIOV  = "sriov"  // a function of a network card
	DeviceVGPU   = "vgpu"   // a mediated device
	DeviceFolder = "folder" // virtiofs, 9p
	DeviceMemory = "memory" // shared with other processes of the host
	DeviceTPM    = "tpm"    // emulated
	DeviceSealed = "sealed" // memory that the host cannot read (SEV)
	DeviceOther  = "other"  // of which libvirt says that it does not travel
)

// Pages are huge pages of one size.
type Pages struct {
	KiB   uint64 `json:"kib"`
	Count uint64 `json:"count"`
}

// Bounds of what is described.
const (
	maxDescribed = 4096 // entries of one list
	maxNeedBytes = 128 << 10
	maxWordBytes = 512
)

func (n *Need) check() error {
	lists := []int{
		len(n.CPU.Require), len(n.CPU.Disable), len(n.CPU.Features), len(n.Links), len(n.Disks), len(n.Devices),
		len(n.Firmware), len(n.Secrets), len(n.Listen), len(n.Pages), len(n.LockSpaces),
	}
	words := slices.Concat([]string{n.Arch, n.Machine, n.Virt, n.Emulator, n.CPU.Mode, n.CPU.Model, n.Pins, n.Owner, n.Unread, n.LockedBy},
		n.CPU.Require, n.CPU.Disable, n.CPU.Features, n.Firmware, n.Secrets, n.Listen, n.LockSpaces)
	for _, l := range n.Links {
		words = append(words, l.Kind, l.Name)
	}
	for _, d := range n.Disks {
		words = append(words, d.Target, d.Kind, d.Point, d.Storage, d.Cache, d.Format)
	}
	for _, d := range n.Devices {
		words = append(words, d.Kind, d.Name)
	}
	if n.Snapshots < 0 {
		return refuse(CodeAbsurdFigure, "%d snapshots", n.Snapshots)
	}
	if err := n.CPUs.check(); err != nil {
		return err
	}
	return checkDescribed(lists, words)
}

// checkDescribed bounds lists and words that others wrote.
func checkDescribed(lists []int, words []string) error {
	for _, n := range lists {
		if n > maxDescribed {
			return refuse(CodeTooMany, "a list of %d entries, at most %d", n, maxDescribed)
		}
	}
	for _, w := range words {
		if len(w) > maxWordBytes || !utf8.ValidString(w) || w != "" && !printable(w) {
			return refuse(CodeAbsurdFigure, "%.60q is longer than %d bytes or not printable", w, maxWordBytes)
		}
	}
	return nil
}

// bytesOf is a description's form at rest: equal values have equal bytes.
func bytesOf(v any, limit int) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, refuse(CodeAbsurdFigure, "%v", err)
	}
	if len(data) > limit {
		return nil, refuse(CodeTooMany, "a description of %d bytes, at most %d", len(data), limit)
	}
	return data, nil
}

// Valid says whether the State would take the need.
func (n *Need) Valid() error { return n.check() }

// Printable makes a text such as the State takes: what cannot be printed
// becomes a question mark.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}
