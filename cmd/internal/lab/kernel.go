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

// cachedKernel finds the guests' kernel in the cache, or fetches it there with
// apt-get: unpacked only, nothing is installed. The cache survives down.
func (l *Lab) cachedKernel(ctx context.Context) (string, error) {
	path := filepath.Join(l.opts.CacheDir, "vmlinuz")
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

// fetchKernel unpacks one package in tmp and puts its kernel at path; the empty
// name is the one that the meta package depends on.
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
	kernels, err := filepath.Glob(filepath.Join(unpacked, "boot/vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("package %s holds %d kernels", name, len(kernels))
	}
	// The rename makes it whole or absent, also for a lab that is killed here.
	if err := copyFile(kernels[0], path+".new"); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
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
