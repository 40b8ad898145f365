package libvirt

import (
	"errors"
	"fmt"
	"net"

	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/agent"
)

// hasAnswer says whether the daemon itself refused.
func hasAnswer(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

// diskSources reads where a VM's disks come from, by target.
func diskSources(text string) (map[string]agent.DiskSource, error) {
	if len(text) > maxXML {
		return nil, fmt.Errorf("VM definition of %d bytes exceeds %d", len(text), maxXML)
	}
	var dom libvirtxml.Domain
	if err := dom.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("VM definition: %w", err)
	}
	sources := map[string]agent.DiskSource{}
	if dom.Devices == nil {
		return sources, nil
	}
	if len(dom.Devices.Disks) > maxDisks {
		return nil, fmt.Errorf("VM definition: %d disks exceed %d", len(dom.Devices.Disks), maxDisks)
	}
	for _, disk := range dom.Devices.Disks {
		if disk.Target == nil || disk.Target.Dev == "" {
			continue
		}
		src := diskSource(disk.Source)
		if disk.Driver != nil {
			src.Cache = disk.Driver.Cache
		}
		sources[clip(disk.Target.Dev, 64)] = src
	}
	return sources, nil
}

func diskSource(s *libvirtxml.DomainDiskSource) agent.DiskSource {
	switch {
	case s == nil:
	case s.File != nil:
		return agent.DiskSource{Type: "file", Path: s.File.File}
	case s.Block != nil:
		return agent.DiskSource{Type: "block", Path: s.Block.Dev}
	case s.Dir != nil:
		return agent.DiskSource{Type: "dir", Path: s.Dir.Dir}
	case s.Network != nil:
		return networkSource(s.Network)
	case s.NVME != nil:
		return agent.DiskSource{Type: "nvme"}
	case s.VHostUser != nil:
		return agent.DiskSource{Type: "vhostuser"}
	case s.VHostVDPA != nil:
		return agent.DiskSource{Type: "vhostvdpa"}
	case s.Volume != nil:
		return agent.DiskSource{Type: "volume"}
	}
	return agent.DiskSource{}
}

func networkSource(n *libvirtxml.DomainDiskSourceNetwork) agent.DiskSource {
	src := agent.DiskSource{Type: "network", Protocol: clip(n.Protocol, 32), Name: clip(n.Name, 1024)}
	for _, h := range n.Hosts[:min(len(n.Hosts), 16)] {
		at := h.Socket
		if at == "" {
			at = h.Name
			if h.Port != "" {
				at = net.JoinHostPort(h.Name, h.Port)
			}
		}
		src.Hosts = append(src.Hosts, clip(at, 256))
	}
	return src
}
