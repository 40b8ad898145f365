package libvirt

import (
	"context"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Resume lets a paused VM run on. A lock on its disks that somebody else holds
// makes it fail.
func (h *Host) Resume(ctx context.Context, vm string) error {
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	return h.call(ctx, "resume VM "+vm, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainResume(dom)
	})
}
