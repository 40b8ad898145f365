package lab

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A fresh libvirtd asks QEMU for its capabilities before its first guest,
// which took 2 s on a free core and 4 s beside busy guests: at the first start
// on one host, and again at the first migration on the other. So each libvirtd
// asks at once, and the answers are kept with the guests' kernel. libvirt
// itself checks that they fit this kernel, CPU, QEMU and libvirtd.

func (l *Lab) capabilitiesCache() string { return filepath.Join(l.opts.CacheDir, "capabilities") }

func (l *Lab) hostCapabilities(host string) string {
	return filepath.Join(l.hostDir(host), "libvirt/cache/qemu/capabilities")
}

// seedCapabilities gives a host's libvirtd what earlier ones were told.
func (l *Lab) seedCapabilities(host string) error {
	return copyFiles(l.capabilitiesCache(), l.hostCapabilities(host))
}

// learnCapabilities lets libvirtd ask QEMU, and keeps the answer.
func (l *Lab) learnCapabilities(ctx context.Context, host string) error {
	if _, err := l.Exec(ctx, host, "virsh", "--quiet", "domcapabilities", "--virttype", "qemu"); err != nil {
		return err
	}
	return copyFiles(l.hostCapabilities(host), l.capabilitiesCache())
}

// copyFiles copies a directory's files. A directory that does not exist has
// none.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".xml" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := writeAtomic(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
