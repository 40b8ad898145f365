package libvirt

import (
	"context"
	"slices"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Text is how a VM is defined, in libvirt's words.
type Text struct {
	VM   string // UUID
	Name string
	XML  string
}

// Definitions reads how each VM of this host is defined, by ascending UUID: one
// that runs as a migration would take it along, one that is off as it would
// start. Secrets are not in it: libvirt gives passwords only to who asks for
// them. A VM that ends meanwhile, or whose definition libvirt cannot send, is
// left out.
func (h *Host) Definitions(ctx context.Context) ([]Text, error) {
	var doms []golibvirt.Domain
	err := h.call(ctx, "list VMs", func(lv *golibvirt.Libvirt) error {
		var err error
		doms, _, err = lv.ConnectListAllDomains(1, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]Text, 0, len(doms))
	for _, dom := range doms {
		t := Text{VM: formatUUID(dom.UUID), Name: cleanName(dom.Name)}
		err := h.call(ctx, "read the definition of VM "+t.VM, func(lv *golibvirt.Libvirt) error {
			active, err := lv.DomainIsActive(dom)
			if err != nil {
				return err
			}
			flags := golibvirt.DomainXMLMigratable
			if active == 0 {
				flags = golibvirt.DomainXMLInactive
			}
			t.XML, err = lv.DomainGetXMLDesc(dom, flags)
			return err
		})
		switch {
		case hasAnswer(err):
			continue
		case err != nil:
			return nil, err
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Text) int { return strings.Compare(a.VM, b.VM) })
	return out, nil
}
