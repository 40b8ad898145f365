package libvirt

import (
	"fmt"
	"slices"
	"syscall"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// netLink is a network device of the host's.
type netLink struct {
	index, master int
	name, kind    string
	up            bool
}

// Attributes of rtnetlink that package syscall does not name.
const (
	iflaLinkInfo = 18 // IFLA_LINKINFO
	iflaInfoKind = 1  // IFLA_INFO_KIND
)

// netLinks lists the devices of the network namespace that this process is in.
func netLinks() ([]netLink, error) {
	data, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	return parseLinks(data)
}

func parseLinks(data []byte) ([]netLink, error) {
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	var out []netLink
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return nil, fmt.Errorf("list network devices: message %d: %w", i+1, err)
		}
		// struct ifinfomsg: family, pad, type, index, flags, change.
		l := netLink{index: int(native32(m.Data[4:])), up: native32(m.Data[8:])&syscall.IFF_UP != 0}
		for _, a := range attrs {
			switch a.Attr.Type & 0x3fff { // without the flags of nesting and byte order
			case syscall.IFLA_IFNAME:
				l.name = word(cString(a.Value))
			case syscall.IFLA_MASTER:
				if len(a.Value) >= 4 {
					l.master = int(native32(a.Value))
				}
			case iflaLinkInfo:
				l.kind = kindIn(a.Value)
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// kindIn finds the kind of device in a nest of attributes.
func kindIn(nest []byte) string {
	for len(nest) >= 4 {
		size := int(native16(nest))
		if size < 4 || size > len(nest) {
			return ""
		}
		if native16(nest[2:])&0x3fff == iflaInfoKind {
			return cString(nest[4:size])
		}
		nest = nest[min((size+3)&^3, len(nest)):]
	}
	return ""
}

// plugs sorts devices into bridges and others that a guest may be plugged into.
func plugs(links []netLink) (bridges []cluster.Bridge, ports []string) {
	for _, l := range links {
		switch l.kind {
		case "bridge":
			bridges = append(bridges, cluster.Bridge{Name: l.name, Up: l.up, Uplink: slices.ContainsFunc(links, func(p netLink) bool {
				return p.master == l.index && p.kind != "tun" && p.kind != "dummy"
			})})
		case "openvswitch":
			// Its ports are not the kernel's to tell, and the device of the bridge's
			// own need not be up.
			bridges = append(bridges, cluster.Bridge{Name: l.name, Up: true, Uplink: true})
		case "tun", "macvtap", "veth": // guests' and containers', which come and go
		default:
			if l.up && l.name != "lo" && l.name != "" {
				ports = append(ports, l.name)
			}
		}
	}
	slices.SortFunc(bridges, func(a, b cluster.Bridge) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	slices.Sort(ports)
	return bridges, ports
}
