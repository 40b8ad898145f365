package libvirt

import (
	"context"
	"slices"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Definition reads what libvirt keeps of a VM beside its live state.
func (h *Host) Definition(ctx context.Context, vm string) (agent.Definition, error) {
	id, err := parseUUID(vm)
	if err != nil {
		return agent.Definition{}, err
	}
	var persistent, autostart int32
	err = h.call(ctx, "read the definition of VM "+vm, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		if persistent, err = lv.DomainIsPersistent(dom); err != nil || persistent == 0 {
			return err
		}
		autostart, err = lv.DomainGetAutostart(dom)
		return err
	})
	return agent.Definition{Persistent: persistent == 1, Autostart: autostart == 1}, err
}

// SetAutostart has libvirt start a persistent VM with this host, or no more.
func (h *Host) SetAutostart(ctx context.Context, vm string, on bool) error {
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	what, value := "unset the autostart of VM "+vm, int32(0)
	if on {
		what, value = "set the autostart of VM "+vm, 1
	}
	return h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainSetAutostart(dom, value)
	})
}

// Starts lists the VMs that are off here, but that libvirt starts with this
// host. It asks no QEMU.
func (s *Survey) Starts(ctx context.Context) (vms []string, err error) {
	err = s.host.call(ctx, "list VMs that are started with this host", func(lv *golibvirt.Libvirt) error {
		doms, _, err := lv.ConnectListAllDomains(1, golibvirt.ConnectListDomainsInactive|golibvirt.ConnectListDomainsAutostart)
		for _, d := range doms {
			vms = append(vms, formatUUID(d.UUID))
		}
		return err
	})
	slices.Sort(vms)
	return vms, err
}
