package libvirt

import (
	"context"
	"fmt"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Lets has libvirt take the first step of a migration, which looks whether the VM
// may go, and leaves it at that. Since 7.2 it asks QEMU, too, which knows of
// devices that do not travel. Without "change protection" nothing stays of it: no
// job, and no other call is kept waiting.
func (h *Host) Lets(ctx context.Context, r agent.MigrateRequest) error {
	what := "ask whether VM " + clip(r.VM, 64) + " may go"
	id, err := parseUUID(r.VM)
	if err != nil {
		return err
	}
	params, err := migrateParams(r)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		_, _, err = lv.DomainMigrateBegin3Params(dom, params, uint32(migrateFlags(r)))
		return err
	})
	switch {
	case hasCode(err, golibvirt.ErrNoSupport):
		return nil // the migration itself will tell
	case hasCode(err, golibvirt.ErrMigrateUnsafe):
		return fmt.Errorf("%w: %w", agent.ErrUnsafe, err)
	case hasCode(err, golibvirt.ErrOperationInvalid), hasCode(err, golibvirt.ErrOperationUnsupported),
		hasCode(err, golibvirt.ErrConfigUnsupported), hasCode(err, golibvirt.ErrArgumentUnsupported):
		return fmt.Errorf("%w: %w", agent.ErrBlocked, err)
	}
	return err
}
