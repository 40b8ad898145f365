package libvirt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// The stamp is one empty element in the VM's metadata:
// <evenkeel:order xmlns:evenkeel="https://evenkeel.dev/xmlns/order/1" id="ORDER"/>
const (
	stampNamespace = "https://evenkeel.dev/xmlns/order/1"
	stampPrefix    = "evenkeel"
	stampElement   = "order"
	stampAttr      = "id"
	maxOrder       = 128
)

// Stamp writes the order's id into the running VM's metadata. Only the live
// definition is touched, never the operator's stored one: the stamp is about
// this run of the VM, and the live one is what migrates.
func (h *Host) Stamp(ctx context.Context, vm, order string) error {
	what := fmt.Sprintf("stamp VM %s with order %q", clip(vm, 64), clip(order, maxOrder))
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	if err := validOrder(order); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		element := fmt.Sprintf("<%s %s='%s'/>", stampElement, stampAttr, order)
		return lv.DomainSetMetadata(dom, int32(golibvirt.DomainMetadataElement), golibvirt.OptString{element},
			golibvirt.OptString{stampPrefix}, golibvirt.OptString{stampNamespace}, golibvirt.DomainAffectLive)
	})
}

// validOrder keeps an order's id to characters that need no quoting anywhere.
func validOrder(order string) error {
	if order == "" || len(order) > maxOrder {
		return fmt.Errorf("an order's id has 1 to %d characters, not %d", maxOrder, len(order))
	}
	const plain = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:/"
	if strings.ContainsFunc(order, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return errors.New("an order's id holds only letters, digits and -_.:/")
	}
	return nil
}
