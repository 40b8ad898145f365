package lab

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The lab's network: every host's eth0 is one end of a cable whose other end,
// named as the host, is in the bridge. It has no way out. Two labs may use the
// same addresses, they never meet.
const (
	bridgeName = "bridge"
	portName   = "eth0"
	prefixBits = 24
)

// switchAddress is of what stands beside the bridge: servers of disks.
const switchAddress = "10.199.0.254"

// hostAddress is the i-th host's, from 0.
func hostAddress(i int) string { return fmt.Sprintf("10.199.0.%d", i+1) }

// inNetwork runs f with a netlink handle in a process's network namespace.
func inNetwork(p Process, f func(*netlink.Handle) error) error {
	if !p.Alive() {
		return fmt.Errorf("network: the process that holds the namespace (%d) is gone", p.PID)
	}
	ns, err := netns.GetFromPid(p.PID)
	if err != nil {
		return fmt.Errorf("network namespace of process %d: %w", p.PID, err)
	}
	defer func() { _ = ns.Close() }()
	// Links and addresses only: the other families may be missing.
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink in the namespace of process %d: %w", p.PID, err)
	}
	defer h.Close()
	return f(h)
}

// buildSwitch makes the bridge.
func buildSwitch(holder Process) error {
	return inNetwork(holder, func(h *netlink.Handle) error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
		if err := h.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add bridge: %w", err)
		}
		if err := addAddress(h, bridge, switchAddress); err != nil {
			return err
		}
		return setLink(h, bridgeName, true)
	})
}

// plugIn lays the cable from a host into the bridge.
func plugIn(bridge, host Process, name, address string) error {
	err := inNetwork(bridge, func(h *netlink.Handle) error {
		master, err := h.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		cable := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: master.Attrs().Index},
			PeerName:  portName,
			// The far end is born in the host: it never is anywhere else.
			PeerNamespace: netlink.NsPid(host.PID),
		}
		if err := h.LinkAdd(cable); err != nil {
			return fmt.Errorf("add veth: %w", err)
		}
		return setLink(h, name, true)
	})
	if err != nil {
		return fmt.Errorf("network of %s: %w", name, err)
	}
	err = inNetwork(host, func(h *netlink.Handle) error {
		if err := setLink(h, "lo", true); err != nil {
			return err
		}
		port, err := h.LinkByName(portName)
		if err != nil {
			return err
		}
		if err := addAddress(h, port, address); err != nil {
			return err
		}
		return setLink(h, portName, true)
	})
	if err != nil {
		return fmt.Errorf("network of %s: %w", name, err)
	}
	return nil
}

func addAddress(h *netlink.Handle, link netlink.Link, address string) error {
	ip := &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(prefixBits, 32)}
	if err := h.AddrAdd(link, &netlink.Addr{IPNet: ip}); err != nil {
		return fmt.Errorf("add address %s: %w", address, err)
	}
	return nil
}

func setLink(h *netlink.Handle, name string, up bool) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	set := h.LinkSetDown
	if up {
		set = h.LinkSetUp
	}
	if err := set(link); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}
