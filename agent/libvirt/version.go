package libvirt

import (
	"context"
	"fmt"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Version is which libvirt and which QEMU serve this host.
type Version struct {
	Libvirt string // "9.0.0"
	QEMU    string // "7.2.22"
}

// Version asks the daemon. QEMU's version is that of the emulator that a new
// VM would get; VMs that run since before an upgrade may have an older one.
func (h *Host) Version(ctx context.Context) (Version, error) {
	var lib, qemu uint64
	err := h.call(ctx, "ask libvirt's version", func(lv *golibvirt.Libvirt) error {
		var err error
		if lib, err = lv.ConnectGetLibVersion(); err != nil {
			return err
		}
		qemu, err = lv.ConnectGetVersion()
		return err
	})
	if err != nil {
		return Version{}, err
	}
	return Version{Libvirt: dotted(lib), QEMU: dotted(qemu)}, nil
}

// dotted undoes libvirt's major*1,000,000 + minor*1,000 + release.
func dotted(v uint64) string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}
