package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// downTimeout bounds Down: all it does is to kill and to delete.
const downTimeout = 30 * time.Second

// Down removes a lab, whole or in pieces, and everything that it made but the
// cached kernel. Without a lab it does nothing. Only StateDir and Name of the
// options count; if there is a manifest in StateDir, the name in it does.
func Down(ctx context.Context, opts Options) error {
	if err := opts.fillDefaults(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, downTimeout, fmt.Errorf("not done within %v", downTimeout))
	defer cancel()
	set, err := machineCpuset()
	if err != nil {
		return err
	}
	m, unlock, err := lastManifest(opts)
	if err != nil {
		return err
	}
	defer unlock()
	// The processes hold the namespaces, and these the mounts and links:
	// without the first the kernel removes the others.
	if err := set.lab(m.Name).destroy(ctx); err != nil {
		return fmt.Errorf("lab %s: %w", m.Name, err)
	}
	if err := m.undelegate(set); err != nil {
		return fmt.Errorf("lab %s: %w", m.Name, err)
	}
	return removeState(opts.StateDir)
}

// Down removes this lab.
func (l *Lab) Down(ctx context.Context) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	return Down(ctx, l.opts)
}

// lastManifest reads the manifest under the directory's lock. If there is
// none, the names in the options are all there is.
func lastManifest(opts Options) (*Manifest, func(), error) {
	nothing := &Manifest{Name: opts.Name}
	if _, err := os.Stat(opts.StateDir); errors.Is(err, fs.ErrNotExist) {
		return nothing, func() {}, nil
	}
	unlock, err := lockDir(opts.StateDir, lockPatience)
	if err != nil {
		return nil, nil, err
	}
	m, err := readManifest(opts.StateDir)
	if errors.Is(err, ErrNoLab) {
		return nothing, unlock, nil
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return m, unlock, nil
}

// undelegate takes back what makeCgroups changed at the root of cgroup
// version 2, unless another lab uses it.
func (m *Manifest) undelegate(set cpuset) error {
	if !m.Delegated || !set.unified {
		return nil
	}
	others, err := filepath.Glob(filepath.Join(set.root, cgroupPrefix+"*"))
	if err != nil || len(others) > 0 {
		return err
	}
	return os.WriteFile(filepath.Join(set.root, "cgroup.subtree_control"), []byte("-cpuset"), 0)
}

// removeState deletes the state directory if it is a lab's: one with a
// manifest, or an empty one. The manifest goes last, so that a Down which is
// interrupted can be repeated.
func removeState(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ours := len(entries) == 0
	for _, e := range entries {
		ours = ours || strings.HasPrefix(e.Name(), manifestName)
	}
	if !ours {
		return fmt.Errorf("state directory %s holds files but no manifest, so they are not a lab's; they were left alone", dir)
	}
	for _, e := range entries {
		if e.Name() == manifestName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}
