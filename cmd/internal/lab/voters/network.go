package voters

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// port is the name of a member's interface.
const port = "eth0"

// Cut is a direction in which a member's packets are dropped.
type Cut string

// The cuts. TCP needs both ways to go on, but notices at different times: who
// is deaf sends into silence, who is mute hears and cannot answer.
const (
	Deaf Cut = "input"  // what others send does not arrive
	Mute Cut = "output" // what it sends does not leave
	Both Cut = "both"
)

// newNetwork makes a network namespace that lives as long as the handle and
// whoever is in it.
func newNetwork() (ns netns.NsHandle, err error) {
	err = onThread(func() error {
		ns, err = netns.New()
		return err
	})
	if err != nil {
		return ns, fmt.Errorf("a network namespace: %w", err)
	}
	return ns, nil
}

func within(ns netns.NsHandle, f func(*netlink.Handle) error) error {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer h.Close()
	return f(h)
}

func buildBridge(ns netns.NsHandle) error {
	return within(ns, func(h *netlink.Handle) error {
		if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}); err != nil {
			return fmt.Errorf("add the bridge: %w", err)
		}
		return setLink(h, "bridge", true)
	})
}

// plug lays a cable from a member into the bridge.
func plug(bridge, member netns.NsHandle, name, address string) error {
	err := within(bridge, func(h *netlink.Handle) error {
		master, err := h.LinkByName("bridge")
		if err != nil {
			return err
		}
		cable := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: master.Attrs().Index},
			PeerName:  port, PeerNamespace: netlink.NsFd(member),
		}
		if err := h.LinkAdd(cable); err != nil {
			return fmt.Errorf("add the cable: %w", err)
		}
		return setLink(h, name, true)
	})
	if err != nil {
		return err
	}
	if err := within(member, func(h *netlink.Handle) error { return setLink(h, "lo", true) }); err != nil {
		return err
	}
	return setAddress(member, address)
}

// setAddress gives a member this address and no other.
func setAddress(member netns.NsHandle, address string) error {
	return within(member, func(h *netlink.Handle) error {
		link, err := h.LinkByName(port)
		if err != nil {
			return err
		}
		old, err := h.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, a := range old {
			if err := h.AddrDel(link, &a); err != nil {
				return err
			}
		}
		ip := &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(24, 32)}
		if err := h.AddrAdd(link, &netlink.Addr{IPNet: ip}); err != nil {
			return fmt.Errorf("add address %s: %w", address, err)
		}
		return h.LinkSetUp(link)
	})
}

func setLink(h *netlink.Handle, name string, up bool) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if up {
		return h.LinkSetUp(link)
	}
	return h.LinkSetDown(link)
}

// drop has the kernel drop a member's packets.
func drop(ns netns.NsHandle, c Cut) error {
	rules := "add table inet fault\n"
	for hook, device := range map[string]string{"input": "iifname", "output": "oifname"} {
		if c == Both || string(c) == hook {
			rules += fmt.Sprintf("add chain inet fault %[1]s { type filter hook %[1]s priority 0; }\nadd rule inet fault %[1]s %[2]s %[3]s drop\n", hook, device, port)
		}
	}
	return nft(ns, rules)
}

func nft(ns netns.NsHandle, rules string) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return command("nft", rules)
	})
}
