package libvirt

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// hooksDir is where libvirt looks for hooks, and for scripts in folders of
// theirs.
const hooksDir = "etc/libvirt/hooks"

// Bounds of what is read of hooks.
const (
	maxHooks    = 256
	maxHookSize = 16 << 20
)

// hooksOf names the programs in libvirt's folder of hooks by their names and
// their content: "none", or how many there are and the beginning of their
// checksum. What cannot be run is no hook.
func hooksOf(root fs.FS) (string, error) {
	names, err := hookNames(root)
	if err != nil || len(names) == 0 {
		return "none", err
	}
	sum := sha256.New()
	for _, name := range names {
		text, err := readHook(root, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q %d\n", name, len(text))
		sum.Write(text)
	}
	return fmt.Sprintf("%d programs %x", len(names), sum.Sum(nil)[:4]), nil
}

func hookNames(root fs.FS) (names []string, err error) {
	entries, err := fs.ReadDir(root, hooksDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(hooksDir, e.Name())
		if !e.IsDir() {
			names = append(names, name)
			continue
		}
		if !strings.HasSuffix(name, ".d") {
			continue
		}
		scripts, err := fs.ReadDir(root, name)
		if err != nil {
			return nil, err
		}
		for _, s := range scripts {
			names = append(names, path.Join(name, s.Name()))
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		info, err := fs.Stat(root, name)
		return err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0
	})
	if len(names) > maxHooks {
		return nil, fmt.Errorf("%d hooks in /%s, at most %d are compared", len(names), hooksDir, maxHooks)
	}
	slices.Sort(names)
	return names, nil
}

func readHook(root fs.FS, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHookSize+1))
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", name, err)
	}
	if len(text) > maxHookSize {
		return nil, fmt.Errorf("/%s is larger than %d bytes: it cannot be compared between hosts", name, maxHookSize)
	}
	return text, nil
}
