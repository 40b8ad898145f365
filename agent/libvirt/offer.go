package libvirt

import (
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// parseCapabilities reads what kinds of guests a host runs, which machines
// they may be, and the processor with its architecture.
func parseCapabilities(text string) (o cluster.Offer, native string, err error) {
	if len(text) > maxXML {
		return cluster.Offer{}, "", fmt.Errorf("capabilities of %d bytes exceed %d", len(text), maxXML)
	}
	var caps libvirtxml.Caps
	if err := caps.Unmarshal(text); err != nil {
		return cluster.Offer{}, "", fmt.Errorf("capabilities: %w", err)
	}
	if caps.Host.CPU != nil {
		native = caps.Host.CPU.Arch
	}
	o = cluster.Offer{Processor: processorOf(caps.Host.CPU), Pages: pagesOf(caps.Host.NUMA)}
	for _, g := range caps.Guests {
		if g.OSType != "hvm" {
			continue
		}
		o.Emulators = add(o.Emulators, word(g.Arch.Emulator))
		for _, d := range g.Arch.Domains {
			o.Guests = append(o.Guests, cluster.Guests{
				Arch: word(g.Arch.Name), Virt: word(d.Type), Machines: machines(g.Arch.Machines, d.Machines),
			})
			if d.Emulator != "" {
				o.Emulators = add(o.Emulators, word(d.Emulator))
			}
		}
	}
	slices.Sort(o.Emulators)
	return o, native, nil
}

func machines(lists ...[]libvirtxml.CapsGuestMachine) []string {
	var out []string
	for _, m := range slices.Concat(lists...) {
		for _, name := range []string{m.Name, m.Canonical} {
			if name != "" {
				out = append(out, word(name))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// processorOf tells processors apart that give a guest unlike CPUs.
func processorOf(c *libvirtxml.CapsHostCPU) string {
	if c == nil {
		return "of no known kind"
	}
	parts := []string{c.Vendor, c.Model}
	if s := c.Signature; s != nil {
		parts = append(parts, fmt.Sprintf("family %d model %d stepping %d", s.Family, s.Model, s.Stepping))
	}
	if m := c.Microcode; m != nil {
		parts = append(parts, fmt.Sprintf("microcode %#x", m.Version))
	}
	return word(strings.Join(parts, " "))
}

// pagesOf sums the huge pages of all NUMA nodes: those above the smallest size.
func pagesOf(n *libvirtxml.CapsHostNUMATopology) []cluster.Pages {
	if n == nil || n.Cells == nil {
		return nil
	}
	sums := map[uint64]uint64{}
	smallest := uint64(1 << 63)
	for _, cell := range n.Cells.Cells {
		for _, p := range cell.PageInfo {
			if p.Size <= 0 || p.Unit != "KiB" {
				continue
			}
			size := uint64(p.Size)
			sums[size] += p.Count
			smallest = min(smallest, size)
		}
	}
	var out []cluster.Pages
	for size, count := range sums {
		if size > smallest && count > 0 {
			out = append(out, cluster.Pages{KiB: size, Count: count})
		}
	}
	slices.SortFunc(out, func(a, b cluster.Pages) int { return int(a.KiB>>10) - int(b.KiB>>10) })
	return out
}

// domainCaps is what libvirt says that one kind of guest may have.
type domainCaps struct {
	models   []string // that can be given whole
	host     string   // the host's CPU as a guest may have it, in libvirt's XML; "" if none
	firmware []string
	tpm      bool
}

func parseDomainCaps(text string) (domainCaps, error) {
	if len(text) > maxXML {
		return domainCaps{}, fmt.Errorf("domain capabilities of %d bytes exceed %d", len(text), maxXML)
	}
	var caps libvirtxml.DomainCaps
	if err := caps.Unmarshal(text); err != nil {
		return domainCaps{}, fmt.Errorf("domain capabilities: %w", err)
	}
	var d domainCaps
	if caps.OS != nil && caps.OS.Loader != nil {
		for _, path := range caps.OS.Loader.Values {
			d.firmware = add(d.firmware, word(path))
		}
	}
	if caps.Devices != nil && caps.Devices.TPM != nil {
		for _, e := range caps.Devices.TPM.Enums {
			d.tpm = d.tpm || e.Name == "backendModel" && slices.Contains(e.Values, "emulator")
		}
	}
	if caps.CPU == nil {
		return d, nil
	}
	for _, mode := range caps.CPU.Modes {
		switch {
		case mode.Supported != "yes":
		case mode.Name == "custom":
			for _, m := range mode.Models {
				if m.Usable == "yes" {
					d.models = append(d.models, word(m.Name))
				}
			}
		case mode.Name == "host-model" && len(mode.Models) > 0:
			d.host = hostModel(mode)
		}
	}
	slices.Sort(d.models)
	return d, nil
}

// hostModel is the host's CPU in the words of a definition.
func hostModel(mode libvirtxml.DomainCapsCPUMode) string {
	cpu := libvirtxml.DomainCPU{
		Mode: "custom", Match: "exact",
		Model: &libvirtxml.DomainCPUModel{Fallback: "forbid", Value: mode.Models[0].Name},
	}
	for _, f := range mode.Features {
		if f.Policy == "require" || f.Policy == "disable" {
			cpu.Features = append(cpu.Features, libvirtxml.DomainCPUFeature(f))
		}
	}
	text, err := cpu.Marshal()
	if err != nil {
		return ""
	}
	return text
}

// parseExpanded lists the features of a CPU that libvirt wrote out in full.
func parseExpanded(text string) ([]string, error) {
	if len(text) > maxXML {
		return nil, fmt.Errorf("CPU of %d bytes exceeds %d", len(text), maxXML)
	}
	var cpu libvirtxml.DomainCPU
	if err := cpu.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("CPU: %w", err)
	}
	out := []string{}
	for _, f := range cpu.Features {
		if f.Policy == "require" || f.Policy == "force" {
			out = append(out, word(f.Name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// parseNetwork reads one of libvirt's networks.
func parseNetwork(text string) (cluster.HostNetwork, error) {
	if len(text) > maxXML {
		return cluster.HostNetwork{}, fmt.Errorf("network of %d bytes exceeds %d", len(text), maxXML)
	}
	var n libvirtxml.Network
	if err := n.Unmarshal(text); err != nil {
		return cluster.HostNetwork{}, fmt.Errorf("network: %w", err)
	}
	out := cluster.HostNetwork{Name: word(n.Name), Forward: "none"}
	if f := n.Forward; f != nil {
		if out.Forward = word(f.Mode); out.Forward == "" {
			out.Forward = "nat" // libvirt's default for <forward/>
		}
	}
	if n.Bridge != nil {
		out.Bridge = word(n.Bridge.Name)
	}
	return out, nil
}
