package cluster

import "slices"

// Offer is what a host has for VMs. It names no host: hosts of one kind have
// equal offers, and the State keeps each once.
type Offer struct {
	// Processor is vendor, family, model, stepping and microcode; Kernel and KVM
	// (its parameters) complete what a guest sees that was given the host's CPU.
	Processor string `json:"processor"`
	Kernel    string `json:"kernel"`
	KVM       string `json:"kvm,omitempty"`

	Libvirt   SoftwareVersion `json:"libvirt"`
	QEMU      SoftwareVersion `json:"qemu"`
	Emulators []string        `json:"emulators"` // paths
	Guests    []Guests        `json:"guests"`
	Firmware  []string        `json:"firmware,omitempty"` // files
	TPM       bool            `json:"tpm,omitempty"`      // libvirt can emulate one

	Bridges  []Bridge      `json:"bridges,omitempty"`
	Ports    []string      `json:"ports,omitempty"` // network devices that are no bridge and are up
	Networks []HostNetwork `json:"networks,omitempty"`
	// Blind says that the networks could not be read: what is missing may be there.
	Blind bool `json:"blind,omitempty"`

	// Hooks names the programs in libvirt's folder of hooks by their content:
	// they run in the midst of a migration. "" if nobody looked.
	Hooks string `json:"hooks,omitempty"`

	// Locks is libvirt's lock manager: LocksNone, "lockd", "sanlock" or another; ""
	// if nobody looked. LockSpaces are where it keeps leases that other hosts see.
	Locks      string   `json:"locks,omitempty"`
	LockSpaces []string `json:"lock_spaces,omitempty"`

	Storage []Storage `json:"storage,omitempty"` // mounted, and not this host's own
	Secrets []string  `json:"secrets,omitempty"` // UUIDs and usages
	Pages   []Pages   `json:"pages,omitempty"`   // huge pages, used or not
}

// LocksNone is the lock manager of a host that has none.
const LocksNone = "none"

// SoftwareVersion is a release's three numbers.
type SoftwareVersion [3]uint32

// Guests are what one kind of guest may be.
type Guests struct {
	Arch     string   `json:"arch"`
	Virt     string   `json:"virt"` // "kvm" or "qemu"
	Machines []string `json:"machines"`
	Models   []string `json:"models,omitempty"`   // CPU models that can be given whole
	Features []string `json:"features,omitempty"` // CPU features that can be given; nil: not known
}

// Bridge of the kernel's, or Open vSwitch's.
type Bridge struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
	// Uplink says that it has a port that is no guest's: what is plugged in can
	// leave the host.
	Uplink bool `json:"uplink"`
}

// HostNetwork is one of libvirt's.
type HostNetwork struct {
	Name    string `json:"name"`
	Active  bool   `json:"active"`
	Forward string `json:"forward"` // libvirt's mode: bridge, nat, route, open, none, private, vepa, passthrough, hostdev
	Bridge  string `json:"bridge,omitempty"`
}

// Storage is a mounted file system that other hosts can have, too.
type Storage struct {
	Point string `json:"point"`
	Name  string `json:"name"` // the same on all hosts
}

const maxOfferBytes = 512 << 10

func (o *Offer) check() error {
	lists := []int{
		len(o.Emulators), len(o.Guests), len(o.Firmware), len(o.Bridges), len(o.Ports), len(o.Networks),
		len(o.Storage), len(o.Secrets), len(o.Pages), len(o.LockSpaces),
	}
	words := slices.Concat([]string{o.Processor, o.Kernel, o.KVM, o.Hooks, o.Locks}, o.Emulators, o.Firmware, o.Ports, o.Secrets, o.LockSpaces)
	for _, g := range o.Guests {
		lists = append(lists, len(g.Machines), len(g.Models), len(g.Features))
		words = append(words, g.Arch, g.Virt)
		words = slices.Concat(words, g.Machines, g.Models, g.Features)
	}
	for _, b := range o.Bridges {
		words = append(words, b.Name)
	}
	for _, n := range o.Networks {
		words = append(words, n.Name, n.Forward, n.Bridge)
	}
	for _, s := range o.Storage {
		words = append(words, s.Point, s.Name)
	}
	return checkDescribed(lists, words)
}

// guests finds what guests of a kind may be.
func (o *Offer) guests(arch, virt string) (Guests, bool) {
	for _, g := range o.Guests {
		if g.Arch == arch && g.Virt == virt {
			return g, true
		}
	}
	return Guests{}, false
}

func (o *Offer) bridge(name string) (Bridge, bool) {
	for _, b := range o.Bridges {
		if b.Name == name {
			return b, true
		}
	}
	return Bridge{}, false
}

func (o *Offer) network(name string) (HostNetwork, bool) {
	for _, n := range o.Networks {
		if n.Name == name {
			return n, true
		}
	}
	return HostNetwork{}, false
}

// networkOf finds the network of libvirt's that made a bridge.
func (o *Offer) networkOf(bridge string) (HostNetwork, bool) {
	for _, n := range o.Networks {
		if n.Bridge == bridge && n.inside() {
			return n, true
		}
	}
	return HostNetwork{}, false
}

// inside says that a network ends at its host.
func (n HostNetwork) inside() bool {
	switch n.Forward {
	case "nat", "route", "open", "none", "":
		return true
	}
	return false
}

// Valid says whether the State would take the offer.
func (o *Offer) Valid() error { return o.check() }
