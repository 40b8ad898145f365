package libvirt

import (
	"fmt"

	golibvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
)

// parseUUID accepts the canonical form only, so that one VM has one key.
func parseUUID(text string) (golibvirt.UUID, error) {
	u, err := uuid.Parse(text)
	if err != nil || u.String() != text {
		return golibvirt.UUID{}, fmt.Errorf("VM %q: not a UUID in lower-case 8-4-4-4-12 form", clip(text, 64))
	}
	return golibvirt.UUID(u), nil
}

func formatUUID(u golibvirt.UUID) string { return uuid.UUID(u).String() }

// lookup finds a VM; ErrNoVM if the daemon knows none.
func lookup(lv *golibvirt.Libvirt, vm golibvirt.UUID) (golibvirt.Domain, error) {
	return lv.DomainLookupByUUID(vm)
}
