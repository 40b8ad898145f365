package doctor

import (
	"context"
	"fmt"
	"slices"
)

// autostart holds what libvirt starts with this host against where VMs run.
func (v *visit) autostart(ctx context.Context) Finding {
	switch {
	case v.witness():
		return skip(noVMs)
	case v.listed != nil:
		return skip("libvirt does not list VMs")
	case v.daemon != nil:
		return skip("no evenkeeld answers on this host")
	}
	vms, err := v.VMs(ctx, v.cfg.Socket)
	if err != nil {
		return skip("the cluster's VMs are not known: %v", err)
	}
	var twice []string
	var first string
	for _, vm := range vms {
		if vm.Host != "" && vm.Host != v.cfg.Host.Name && slices.Contains(v.starts, vm.UUID) {
			twice, first = append(twice, fmt.Sprintf("%s, which runs on %s", vm.Name, vm.Host)), vm.UUID
		}
	}
	if len(twice) > 0 {
		return fail("virsh autostart --disable "+first, "libvirt would start with this host: %s", few(twice))
	}
	return pass("no VM that runs elsewhere is started with this host")
}
