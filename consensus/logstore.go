package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// backend is where a node keeps and how it carries Raft's data: files and
// streams in life, memory in the tests of failovers.
type backend struct {
	logs   raft.LogStore
	stable raft.StableStore
	snaps  raft.SnapshotStore
	trans  transport
	close  func() error // of the stores, after Raft has stopped
	// probe writes so many bytes to where the stores are; nil writes to the data
	// directory, if there is one.
	probe func(bytes int) error
}

// logCacheEntries are kept in memory for followers that are a little behind.
// Few, because an entry of snapshots may be a megabyte.
const logCacheEntries = 64

// openFiles opens the log and the snapshots in dir. The log file's lock keeps
// a second daemon out.
func openFiles(dir string, logger hclog.Logger) (*backend, error) {
	path := filepath.Join(dir, logFile)
	if err := checkLog(dir); err != nil {
		return nil, refusedLog(path, err)
	}
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		// A synced freelist costs 9 ms an append once it is long, against 0.5.
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, Timeout: lockPatience},
	})
	if err != nil {
		return nil, refusedLog(path, err)
	}
	if err := sweep(dir); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raft snapshots in %s: %w", dir, err), store.Close())
	}
	if err := checkSnapshots(snaps, store); err != nil {
		return nil, errors.Join(fmt.Errorf("raft snapshots in %s: %w; nothing was changed; %s", dir, err, damagedRemedy), store.Close())
	}
	cache, err := raft.NewLogCache(logCacheEntries, sealedLogs{store})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &backend{logs: cache, stable: store, snaps: snaps, close: store.Close}, nil
}

// damagedRemedy is what to do about files that cannot be used. An older copy of
// them is no remedy: a member that forgets votes twice.
const damagedRemedy = "move the directory away and let this host join anew (`evenkeel cluster add NAME --replace`)"

func refusedLog(path string, err error) error {
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return fmt.Errorf("%s is locked: %w", path, ErrInUse)
	}
	return fmt.Errorf("raft log %s: %w; nothing was changed; %s", path, err, damagedRemedy)
}

// sweep removes the snapshots that an earlier process was still writing when it
// was killed. The library never looks at them again and never removes them.
// The log's lock is held: nobody is writing one now.
func sweep(dir string) error {
	halves, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp"))
	for _, half := range halves {
		err = errors.Join(err, os.RemoveAll(half))
	}
	if err != nil {
		return fmt.Errorf("raft snapshots that were left half written in %s: %w", dir, err)
	}
	return nil
}
