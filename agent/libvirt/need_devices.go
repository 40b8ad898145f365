package libvirt

import (
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// devices reads what ties a VM to its host, or to some hosts.
func (w *wanted) devices(d *libvirtxml.DomainDeviceList) {
	for i := range d.Interfaces {
		w.link(&d.Interfaces[i])
	}
	for i := range d.Hostdevs {
		w.hostdev(&d.Hostdevs[i])
	}
	for _, f := range d.Filesystems {
		name := "of an unknown place"
		if f.Source != nil && f.Source.Mount != nil {
			name = f.Source.Mount.Dir
		}
		w.tie(cluster.DeviceFolder, name)
	}
	for _, s := range d.Shmems {
		w.tie(cluster.DeviceMemory, s.Name)
	}
	for i := range d.TPMs {
		w.tpm(d.TPMs[i].Backend)
	}
	for i := range d.Graphics {
		w.graphics(&d.Graphics[i])
	}
	for _, s := range d.Serials {
		w.chardev(s.Source)
	}
	for _, c := range d.Consoles {
		w.chardev(c.Source)
	}
	for _, c := range d.Channels {
		w.chardev(c.Source)
	}
	for _, m := range d.Memorydevs {
		if m.Model == "nvdimm" || m.Model == "virtio-pmem" {
			w.tie(cluster.DeviceOther, "a memory module in a file of the host's ("+m.Model+")")
		}
	}
}

func (w *wanted) link(i *libvirtxml.DomainInterface) {
	s := i.Source
	link := func(kind, name string) {
		w.need.Links = add(w.need.Links, cluster.Link{Kind: kind, Name: word(name)})
	}
	switch {
	case s == nil:
	case s.Network != nil:
		link("network", s.Network.Network)
	case s.Bridge != nil:
		link("bridge", s.Bridge.Bridge)
	case s.Direct != nil:
		link("direct", s.Direct.Dev)
	case s.VHostUser != nil:
		link("vhostuser", "")
	case s.Ethernet != nil:
		name := ""
		if i.Target != nil {
			name = i.Target.Dev
		}
		link("ethernet", name)
	case s.VDPA != nil:
		w.tie(cluster.DeviceHost, s.VDPA.Device)
	case s.Hostdev != nil && i.Teaming != nil && i.Teaming.Type == "transient":
		link("hostdev", "") // libvirt takes it away for the migration, and gives it back
	case s.Hostdev != nil:
		w.tie(cluster.DeviceSRIOV, "an interface of type hostdev")
	case s.User != nil:
		link("user", "")
	}
}

func (w *wanted) hostdev(h *libvirtxml.DomainHostdev) {
	switch {
	case h.SubsysMDev != nil:
		w.tie(cluster.DeviceVGPU, h.SubsysMDev.Model)
	case h.SubsysPCI != nil:
		name := "PCI"
		if s := h.SubsysPCI.Source; s != nil && s.Address != nil {
			if a := s.Address; a.Domain != nil && a.Bus != nil && a.Slot != nil && a.Function != nil {
				name = fmt.Sprintf("PCI %04x:%02x:%02x.%x", *a.Domain, *a.Bus, *a.Slot, *a.Function)
			}
		}
		w.tie(cluster.DeviceHost, name)
	case h.SubsysUSB != nil:
		w.tie(cluster.DeviceHost, "USB")
	case h.SubsysSCSI != nil, h.SubsysSCSIHost != nil:
		w.tie(cluster.DeviceHost, "SCSI")
	default:
		w.tie(cluster.DeviceHost, "of a kind that is not known here")
	}
}

func (w *wanted) tpm(b *libvirtxml.DomainTPMBackend) {
	switch {
	case b == nil:
	case b.Emulator != nil:
		w.tie(cluster.DeviceTPM, "emulated")
	case b.Passthrough != nil:
		w.tie(cluster.DeviceHost, "TPM")
	default:
		w.tie(cluster.DeviceOther, "a TPM that another process serves")
	}
}

func (w *wanted) graphics(g *libvirtxml.DomainGraphic) {
	var listen string
	var listeners []libvirtxml.DomainGraphicListener
	switch {
	case g.VNC != nil:
		listen, listeners = g.VNC.Listen, g.VNC.Listeners
	case g.Spice != nil:
		listen, listeners = g.Spice.Listen, g.Spice.Listeners
	case g.EGLHeadless != nil, g.SDL != nil:
		w.tie(cluster.DeviceOther, "a display of the host's")
	}
	network := false
	for _, l := range listeners {
		switch {
		case l.Network != nil:
			network = true // libvirt takes the target's address in that network
		case l.Address != nil:
			w.listens(l.Address.Address)
		}
	}
	if !network {
		w.listens(listen)
	}
}

func (w *wanted) chardev(s *libvirtxml.DomainChardevSource) {
	switch {
	case s == nil:
	case s.TCP != nil && s.TCP.Mode == "bind":
		w.listens(s.TCP.Host)
	case s.Dev != nil:
		w.tie(cluster.DeviceHost, s.Dev.Path)
	}
}
