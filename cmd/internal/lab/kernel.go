package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/initramfs"
)

// kernelPackages are Debian's kernels for virtual machines that guests have
// been seen to boot, newest first. Archives drop old ones, so the list is
// followed by whatever the meta package names.
var kernelPackages = []string{
	"linux-image-6.1.0-56-cloud-amd64",
	"linux-image-6.1.0-50-cloud-amd64",
	"linux-image-6.1.0-47-cloud-amd64",
}

const kernelMetaPackage = "linux-image-cloud-amd64"

// kernelModules are what such a kernel needs to see a virtio disk, in the order
// in which they need each other.
var kernelModules = []string{
	"virtio/virtio_ring.ko", "virtio/virtio.ko", "virtio/virtio_pci_legacy_dev.ko", "virtio/virtio_pci_modern_dev.ko",
	"virtio/virtio_pci.ko", "block/virtio_blk.ko",
}

// A directory with a kernel for guests holds the image and the modules that
// belong to it, named so that they sort in the order in which they are loaded.
const (
	kernelImage = "vmlinuz"
	moduleDir   = "modules"
)

// cachedKernel finds the directory of the guests' kernel in the cache, or
// fetches it there with apt-get: unpacked only, nothing is installed. The cache
// survives down.
func (l *Lab) cachedKernel(ctx context.Context) (string, error) {
	path := filepath.Join(l.opts.CacheDir, "kernel")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(l.opts.CacheDir, 0o755); err != nil {
		return "", err
	}
	l.opts.Progress("fetch a kernel for the guests (once)")
	var failures []error
	for _, name := range append(slices.Clone(kernelPackages), "") {
		err := fetchKernel(ctx, name, filepath.Join(l.dir, "fetch"), path)
		if err == nil {
			return path, nil
		}
		failures = append(failures, err)
	}
	return "", fmt.Errorf("fetch a kernel for the guests (apt-get update may help, or name one with --kernel): %w", errors.Join(failures...))
}

// fetchKernel unpacks one package in tmp and puts its kernel and modules in the
// directory path; the empty name is the one that the meta package depends on.
func fetchKernel(ctx context.Context, name, tmp, path string) error {
	if name == "" {
		var err error
		if name, err = metaDependency(ctx); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	download := exec.CommandContext(ctx, "apt-get", "--quiet", "download", name)
	download.Dir = tmp
	if _, err := runCommand(download); err != nil {
		return fmt.Errorf("apt-get download %s: %w", name, err)
	}
	packages, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages", name, len(packages))
	}
	unpacked := filepath.Join(tmp, "x")
	if _, err := runCommand(exec.CommandContext(ctx, "dpkg", "-x", packages[0], unpacked)); err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	// Beside its place, so that the rename makes it whole or absent, also for a
	// lab that is killed here; under a name of its own, for another lab may do
	// the same at this moment.
	made, err := os.MkdirTemp(filepath.Dir(path), "kernel.new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	if err := collectKernel(unpacked, made); err != nil {
		return fmt.Errorf("package %s: %w", name, err)
	}
	if err := os.Chmod(made, 0o755); err != nil {
		return err
	}
	if err := os.Rename(made, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// collectKernel copies what guests need of an unpacked package.
func collectKernel(unpacked, to string) error {
	kernels, err := filepath.Glob(filepath.Join(unpacked, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("it holds %d kernels", len(kernels))
	}
	if err := copyFile(kernels[0], filepath.Join(to, kernelImage)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(to, moduleDir), 0o755); err != nil {
		return err
	}
	for i, module := range kernelModules {
		found, err := filepath.Glob(filepath.Join(unpacked, "lib/modules/*/kernel/drivers", module))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("it holds %d modules %s", len(found), module)
		}
		name := fmt.Sprintf("%02d-%s", i, filepath.Base(module))
		if err := copyFile(found[0], filepath.Join(to, moduleDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// modulesOf reads the modules in a kernel's directory.
func modulesOf(kernelDir string) ([]initramfs.Module, error) {
	entries, err := os.ReadDir(filepath.Join(kernelDir, moduleDir))
	if err != nil {
		return nil, err
	}
	var modules []initramfs.Module
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(kernelDir, moduleDir, e.Name()))
		if err != nil {
			return nil, err
		}
		modules = append(modules, initramfs.Module{Name: e.Name(), Data: data})
	}
	return modules, nil
}

func metaDependency(ctx context.Context) (string, error) {
	out, err := runCommand(exec.CommandContext(ctx, "apt-cache", "depends", "--important", kernelMetaPackage))
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w", kernelMetaPackage, err)
	}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return "linux-image-" + name, nil
		}
	}
	return "", fmt.Errorf("package %s names no kernel", kernelMetaPackage)
}
