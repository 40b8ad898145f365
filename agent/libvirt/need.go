package libvirt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// layer is one image of a disk: the disk's own, or one that it is backed by.
type layer struct {
	target string
	source agent.DiskSource
	pool   string // of a volume, which libvirt has to find
	media  bool   // it is not written
	format string // the driver's: "raw", "qcow2"
	tied   bool   // it has others below it, is encrypted or shared: it cannot be copied alone
}

// wanted is what a VM's live XML says of its need; where its disks lie and
// what its CPU has is still to be found out.
type wanted struct {
	need   cluster.Need
	layers []layer
	def    definition
	cpuXML string // its CPU alone, as libvirt's comparing calls want it
}

// maxLayers bounds a disk's chain of images.
const maxLayers = 256

// parseNeed reads a VM's live definition. Texts of it are made printable and
// cut to what the State takes.
func parseNeed(text string) (wanted, error) {
	dom, err := readDomain(text)
	if err != nil {
		return wanted{}, err
	}
	if dom.OS == nil || dom.OS.Type == nil {
		return wanted{}, errors.New("VM definition: no <os><type>")
	}
	w := wanted{need: cluster.Need{Arch: word(dom.OS.Type.Arch), Machine: word(dom.OS.Type.Machine), Virt: word(dom.Type)}}
	w.need.Pins, w.need.Owner = pinsOf(&dom), ownerIn(dom.Metadata)
	w.need.CPUs = cpusOf(&dom)
	if dom.Metadata != nil {
		w.need.Metas, w.need.Wrong = metaRulesIn(dom.Metadata.XML)
	}
	w.firmware(dom.OS)
	w.pages(&dom)
	w.cpu(dom.CPU)
	if l := dom.LaunchSecurity; l != nil {
		w.tie(cluster.DeviceSealed, "launchSecurity")
	}
	if dom.Devices == nil {
		return w, nil
	}
	w.need.Emulator = word(dom.Devices.Emulator)
	if err := w.disks(dom.Devices.Disks); err != nil {
		return wanted{}, err
	}
	w.locks(dom.Devices)
	w.devices(dom.Devices)
	return w, w.need.Valid()
}

// word is a text of somebody else's as the State takes it.
func word(s string) string {
	const most = 200
	s = cluster.Printable(strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// add appends what is not there yet, within bounds.
func add[T comparable](list []T, v T) []T {
	if len(list) >= maxLayers || slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func (w *wanted) tie(kind, name string) {
	w.need.Devices = add(w.need.Devices, cluster.Device{Kind: kind, Name: word(name)})
}

func (w *wanted) firmware(os *libvirtxml.DomainOS) {
	files := []string{os.Kernel, os.Initrd, os.DTB, os.Shim}
	if os.Loader != nil {
		files = append(files, os.Loader.Path)
	}
	if os.NVRam != nil {
		files = append(files, os.NVRam.Template)
	}
	for _, file := range files {
		if file != "" {
			w.need.Firmware = add(w.need.Firmware, word(file))
		}
	}
}

// pages are the huge pages that the VM's memory is made of. Where several
// sizes are named each must hold all: which part is whose is libvirt's to say.
func (w *wanted) pages(dom *libvirtxml.Domain) {
	if dom.MemoryBacking == nil || dom.MemoryBacking.MemoryHugePages == nil || dom.Memory == nil {
		return
	}
	memory, err := memoryBytes(uint64(dom.Memory.Value), dom.Memory.Unit)
	if err != nil {
		return // the listing tells of it
	}
	pages := dom.MemoryBacking.MemoryHugePages.Hugepages
	if len(pages) == 0 {
		pages = []libvirtxml.DomainMemoryHugepage{{Size: 2, Unit: "M"}} // the kernel's default on x86
	}
	for _, p := range pages {
		if size, err := memoryBytes(uint64(p.Size), p.Unit); err == nil && size >= 1024 {
			w.need.Pages = add(w.need.Pages, cluster.Pages{KiB: uint64(size >> 10), Count: uint64((memory + size - 1) / size)})
		}
	}
}

// cpu reads the CPU that the guest was started with: libvirt puts host-model
// in terms of a model and features once a VM runs.
func (w *wanted) cpu(c *libvirtxml.DomainCPU) {
	if c == nil {
		return
	}
	n := &w.need.CPU
	if n.Mode = word(c.Mode); n.Mode == "" && c.Model != nil {
		n.Mode = "custom"
	}
	alone := libvirtxml.DomainCPU{Mode: n.Mode, Match: "exact", Model: c.Model}
	if c.Model != nil {
		n.Model = word(c.Model.Value)
	}
	for _, f := range c.Features {
		switch f.Policy {
		case "require", "force", "":
			n.Require = add(n.Require, word(f.Name))
		case "disable", "forbid":
			n.Disable = add(n.Disable, word(f.Name))
		default:
			continue
		}
		alone.Features = append(alone.Features, f)
	}
	slices.Sort(n.Require)
	slices.Sort(n.Disable)
	if text, err := alone.Marshal(); err == nil && n.Mode == "custom" {
		w.cpuXML = text
	}
}

// pinsOf says what ties threads or memory to CPUs or nodes.
func pinsOf(dom *libvirtxml.Domain) string {
	var pins []string
	if v := dom.VCPU; v != nil && v.CPUSet != "" {
		pins = append(pins, "vCPUs to CPUs "+v.CPUSet)
	}
	if t := dom.CPUTune; t != nil {
		if len(t.VCPUPin) > 0 {
			pins = append(pins, fmt.Sprintf("%d vCPUs (vcpupin)", len(t.VCPUPin)))
		}
		if t.EmulatorPin != nil {
			pins = append(pins, "emulator to CPUs "+t.EmulatorPin.CPUSet)
		}
		if len(t.IOThreadPin) > 0 {
			pins = append(pins, fmt.Sprintf("%d I/O threads (iothreadpin)", len(t.IOThreadPin)))
		}
	}
	if t := dom.NUMATune; t != nil && (len(t.MemNodes) > 0 || t.Memory != nil && t.Memory.Nodeset != "" && t.Memory.Mode != "preferred") {
		pins = append(pins, "memory to NUMA nodes (numatune)")
	}
	return word(strings.Join(pins, ", "))
}

// cpusOf are the CPUs that the vCPUs may run on together, "" for all of the host:
// also if one vCPU may run anywhere, or if the list is none that we can read, for
// then it bounds nothing that we know of.
func cpusOf(dom *libvirtxml.Domain) cluster.CPUSet {
	if dom.VCPU == nil || dom.VCPU.Value > cluster.MaxVCPUs {
		return ""
	}
	pinned := map[uint]string{}
	if dom.CPUTune != nil {
		for _, p := range dom.CPUTune.VCPUPin {
			pinned[p.VCPU] = p.CPUSet
		}
	}
	var all procfs.CPUs
	for vcpu := range dom.VCPU.Value {
		list, ok := pinned[vcpu]
		if !ok {
			list = dom.VCPU.CPUSet
		}
		cpus, err := procfs.ParseCPUs(list)
		if err != nil || len(cpus) == 0 {
			return ""
		}
		all = append(all, cpus...)
		slices.Sort(all)
		all = slices.Compact(all)
	}
	if need := (cluster.Need{CPUs: cluster.CPUSet(all.String())}); need.Valid() == nil {
		return need.CPUs
	}
	return ""
}

// owners are the namespaces under which other software keeps its notes on a
// VM, by how they begin.
var owners = []struct{ namespace, name string }{
	{"http://openstack.org/xmlns/libvirt/nova/", "OpenStack (nova)"},
	{"http://ovirt.org/vm/", "oVirt"},
	{"http://opennebula.org/", "OpenNebula"},
	{"http://kubevirt.io", "KubeVirt"},
	{"http://cloudstack.apache.org/", "CloudStack"},
	{"http://www.ganeti.org/", "Ganeti"},
	{"http://harvesterhci.io", "Harvester"},
}

// ownerIn finds the software that made a VM among its metadata.
func ownerIn(m *libvirtxml.DomainMetadata) string {
	if m == nil {
		return ""
	}
	dec := xml.NewDecoder(strings.NewReader(m.XML))
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil { // its end, most of all
			return ""
		}
		switch t := tok.(type) {
		case xml.StartElement:
			for _, o := range owners {
				if depth == 0 && strings.HasPrefix(t.Name.Space, o.namespace) {
					return o.name
				}
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// disks lists every image that QEMU opens.
func (w *wanted) disks(disks []libvirtxml.DomainDisk) error {
	if len(disks) > maxDisks {
		return fmt.Errorf("VM definition: %d disks exceed %d", len(disks), maxDisks)
	}
	for i := range disks {
		d := &disks[i]
		drive := d.Device == "cdrom" || d.Device == "floppy"
		l := layer{media: drive || d.ReadOnly != nil}
		if d.Target != nil {
			l.target = word(d.Target.Dev)
		}
		l.source = diskSource(d.Source)
		if d.Driver != nil {
			l.source.Cache, l.format = d.Driver.Cache, d.Driver.Type
		}
		if empty(d.Source) {
			continue
		}
		l.inPool(d.Source)
		l.tied = d.Shareable != nil || d.Encryption != nil || d.Source.Encryption != nil || d.Transient != nil ||
			d.BackingStore != nil && !empty(d.BackingStore.Source) || d.Source.File == nil
		w.secrets(d)
		w.layers = append(w.layers, l)
		for b, n := d.BackingStore, 0; b != nil && !empty(b.Source); b, n = b.BackingStore, n+1 {
			if n >= maxLayers {
				return fmt.Errorf("VM definition: disk %s has more than %d images", l.target, maxLayers)
			}
			// An image below the first is only read.
			below := layer{target: l.target, source: diskSource(b.Source)}
			below.inPool(b.Source)
			w.layers = append(w.layers, below)
		}
	}
	return nil
}

// locks reads what a lock manager may lock. A lease lies somewhere like a disk,
// and the target must have the same.
func (w *wanted) locks(d *libvirtxml.DomainDeviceList) {
	w.def = definition{diskless: true}
	w.def.disks(d.Disks)
	w.def.leases, w.need.Leases = leasesIn(d.Leases), len(d.Leases) > 0
	for _, path := range w.def.leases {
		l := layer{target: "lease", source: agent.DiskSource{Type: "file", Path: path}, tied: true}
		if strings.HasPrefix(path, "/dev/") {
			l.source.Type = "block"
		}
		w.layers = append(w.layers, l)
	}
}

// empty says whether there is nothing in a drive.
func empty(s *libvirtxml.DomainDiskSource) bool {
	return s == nil || s.File != nil && s.File.File == "" || s.Block != nil && s.Block.Dev == "" || diskSource(s).Type == ""
}

// inPool names a volume, whose place libvirt has to say.
func (l *layer) inPool(s *libvirtxml.DomainDiskSource) {
	if s.Volume != nil {
		l.pool, l.source.Name = s.Volume.Pool, s.Volume.Volume
	}
}

func (w *wanted) secrets(d *libvirtxml.DomainDisk) {
	var all []libvirtxml.DomainDiskSecret
	if d.Auth != nil && d.Auth.Secret != nil {
		all = append(all, *d.Auth.Secret)
	}
	if n := d.Source.Network; n != nil && n.Auth != nil && n.Auth.Secret != nil {
		all = append(all, *n.Auth.Secret)
	}
	if e := d.Encryption; e != nil {
		all = append(all, e.Secrets...)
	}
	if e := d.Source.Encryption; e != nil {
		all = append(all, e.Secrets...)
	}
	for _, s := range all {
		if s.UUID != "" {
			w.need.Secrets = add(w.need.Secrets, word(s.UUID))
		} else if s.Usage != "" {
			w.need.Secrets = add(w.need.Secrets, word(s.Usage))
		}
	}
}

// local says whether an address means this host wherever it is.
func local(address string) bool {
	a, err := netip.ParseAddr(address)
	return address == "" || address == "localhost" || err == nil && (a.IsUnspecified() || a.IsLoopback())
}

func (w *wanted) listens(address string) {
	if !local(address) {
		w.need.Listen = add(w.need.Listen, word(address))
	}
}
