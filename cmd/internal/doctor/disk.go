package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What the disk of Raft's log must do. A leader that cannot sync within its
// lease loses the lead; every decision waits for one sync at least.
const (
	slowSync   = 20 * time.Millisecond
	deadlySync = 250 * time.Millisecond
	little     = 2 * cluster.GiB
	tooLittle  = 256 * cluster.MiB
)

func (v *visit) stateDir() Finding {
	if !v.configured {
		return skip(unconfigured)
	}
	dir, err := existing(v.cfg.StateDir)
	if err != nil {
		return fail(hint(err), "%v", err)
	}
	free, err := freeBytes(dir)
	if err != nil {
		return fail(hint(err), "%s: %v", dir, err)
	}
	sync, err := syncTime(dir)
	if err != nil && errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		return skip("%v; run doctor as root, as evenkeeld runs", err)
	}
	told := fmt.Sprintf("%s: a sync takes %v, %v free", dir, sync.Round(10*time.Microsecond), free)
	switch {
	case err != nil:
		return fail(hint(err), "%v", err)
	case free < tooLittle:
		return fail("make room, or move stateDir", "%s", told)
	case sync > deadlySync:
		return fail("put stateDir on a local SSD: a leader that syncs so slowly loses the lead", "%s", told)
	case free < little:
		return warn("make room, or move stateDir", "%s", told)
	case sync > slowSync:
		return warn("put stateDir on a local SSD: every decision waits for a sync", "%s", told)
	}
	return pass("%s", told)
}

// existing is the folder, or the nearest one above it in which the daemon
// would make it.
func existing(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("%s is no folder", dir)
		case !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

func freeBytes(dir string) (cluster.Bytes, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return cluster.Bytes(s.Bavail) * cluster.Bytes(s.Bsize), nil
}

// syncTime is the median of a few small writes that are synced, as Raft's log
// makes them.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".evenkeel-doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const tries = 7
	block := make([]byte, 4096)
	var took []time.Duration
	for range tries {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("sync %s: %w", f.Name(), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[tries/2], nil
}
