package libvirt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"libvirt.org/go/libvirtxml"
)

// maxXML bounds a VM's definition: libvirt's own limit for one string.
const maxXML = 4 << 20

// definition is what we need of a VM's XML.
type definition struct {
	maxMemoryBytes int64
	order          string
	diskless       bool // it has no writable disk
	locked         bool // it has some, and QEMU locks each one's image
	// What QEMU locks not, and libvirt's lock manager may: block devices of this VM
	// alone, and what its own leases lie on.
	bare, leases []string
	beyond       bool // it has a writable disk that neither locks
}

// readDomain reads a VM's XML, if it is of a sensible size.
func readDomain(text string) (dom libvirtxml.Domain, err error) {
	if len(text) > maxXML {
		return dom, fmt.Errorf("VM definition of %d bytes exceeds %d", len(text), maxXML)
	}
	if err := dom.Unmarshal(text); err != nil {
		return dom, fmt.Errorf("VM definition: %w", err)
	}
	return dom, nil
}

func parseDefinition(text string) (definition, error) {
	dom, err := readDomain(text)
	if err != nil {
		return definition{}, err
	}
	if dom.Memory == nil {
		return definition{}, errors.New("VM definition: no <memory>")
	}
	bytes, err := memoryBytes(uint64(dom.Memory.Value), dom.Memory.Unit)
	if err != nil {
		return definition{}, fmt.Errorf("VM definition: <memory>: %w", err)
	}
	d := definition{maxMemoryBytes: bytes, diskless: true}
	if dom.Metadata != nil {
		d.order = orderIn(dom.Metadata.XML)
	}
	if dom.Devices != nil {
		d.disks(dom.Devices.Disks)
		d.leases = leasesIn(dom.Devices.Leases)
	}
	return d, nil
}

// disks says what would keep a second QEMU from each writable disk: QEMU locks
// image files, unless they are shared on purpose; a lock manager block devices;
// and nobody what is reached over the network.
func (d *definition) disks(disks []libvirtxml.DomainDisk) {
	d.locked = true
	for _, disk := range disks {
		src := diskSource(disk.Source)
		file := src.Type == "file" && src.Path != ""
		drive := disk.Device == "cdrom" || disk.Device == "floppy"
		if disk.ReadOnly != nil || drive && !file {
			continue // nothing to write, or an empty drive
		}
		d.diskless = false
		switch {
		case disk.Shareable != nil:
			d.locked, d.beyond = false, true
		case file:
		case src.Type == "block" && src.Path != "":
			d.locked, d.bare = false, add(d.bare, src.Path)
		default:
			d.locked, d.beyond = false, true
		}
	}
	d.locked = d.locked && !d.diskless
	d.beyond = d.beyond || len(d.bare) >= maxLayers // add takes no more
}

// leasesIn are the files and devices that a VM's own leases lie on.
func leasesIn(leases []libvirtxml.DomainLease) (paths []string) {
	for _, l := range leases {
		if l.Target != nil && l.Target.Path != "" {
			paths = add(paths, l.Target.Path)
		}
	}
	return paths
}

// memoryBytes applies a unit of libvirt's; none means KiB.
func memoryBytes(value uint64, unit string) (int64, error) {
	scale, ok := map[string]uint64{
		"": 1 << 10, "b": 1, "bytes": 1,
		"KB": 1e3, "k": 1 << 10, "KiB": 1 << 10,
		"MB": 1e6, "M": 1 << 20, "MiB": 1 << 20,
		"GB": 1e9, "G": 1 << 30, "GiB": 1 << 30,
		"TB": 1e12, "T": 1 << 40, "TiB": 1 << 40,
	}[unit]
	if !ok {
		return 0, fmt.Errorf("unit %q is unknown", clip(unit, 16))
	}
	if value == 0 || value > math.MaxInt64/scale {
		return 0, fmt.Errorf("%d %s is no size of a VM", value, unit)
	}
	return int64(value * scale), nil
}

// orderIn finds the stamp among a VM's metadata. What is there was written by
// many programs: anything but a stamp of ours reads as none.
func orderIn(metadata string) string {
	dec := xml.NewDecoder(strings.NewReader(metadata))
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil { // its end, most of all
			return ""
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name.Space == stampNamespace && t.Name.Local == stampElement {
				return stampID(t)
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

func stampID(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == stampAttr && a.Name.Space == "" && validOrder(a.Value) == nil {
			return a.Value
		}
	}
	return ""
}

// xmlCache remembers the parse of each VM's last XML: a listing happens on
// every event, the XML of a running VM hardly changes, and parsing it is most
// of a listing's cost.
type xmlCache struct {
	mu   sync.Mutex
	last map[string]cachedXML // by UUID
}

type cachedXML struct {
	text string
	def  definition
}

// parse returns the definition in text, which is VM uuid's XML now.
func (c *xmlCache) parse(uuid, text string) (definition, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hit, ok := c.last[uuid]; ok && hit.text == text {
		return hit.def, nil
	}
	def, err := parseDefinition(text)
	if err != nil {
		return definition{}, err
	}
	if c.last == nil {
		c.last = make(map[string]cachedXML)
	}
	c.last[uuid] = cachedXML{text: text, def: def}
	return def, nil
}

// keep forgets the VMs that are not listed any more.
func (c *xmlCache) keep(listed map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for uuid := range c.last {
		if !listed[uuid] {
			delete(c.last, uuid)
		}
	}
}
