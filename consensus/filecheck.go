package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// lockPatience is how long the lock of the log's file is waited for.
const lockPatience = 2 * time.Second

// checkLog reads all of a log before anything is written to its file. A log
// that has lost entries, or its term and vote, must not take part: it would
// vote against its own word. So a log that is gone or empty is an error too,
// unless the member never had a part in a group, as at a start that was
// interrupted.
func checkLog(dir string) error {
	path := filepath.Join(dir, logFile)
	info, err := os.Stat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || info.Size() == 0:
		if _, met := os.Stat(filepath.Join(dir, meetFile)); met == nil {
			return fmt.Errorf("it is missing or empty, but %s says that this member had a part in a cluster", meetFile)
		}
		return nil
	}
	return unharmed(func() error {
		store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: lockPatience}})
		if err != nil {
			return err
		}
		return errors.Join(readAll(store), store.Close())
	})
}

// readAll reads every entry, the term and the vote.
func readAll(store *raftboltdb.BoltStore) error {
	first, err := store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := store.LastIndex()
	if err != nil {
		return err
	}
	for index := first; first > 0 && index <= last; index++ {
		if err := (sealedLogs{store}).GetLog(index, new(raft.Log)); err != nil {
			return fmt.Errorf("entry %d of %d to %d: %w", index, first, last, err)
		}
	}
	for _, key := range []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"} {
		if _, err := store.Get([]byte(key)); err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// unharmed runs f, which reads a file that is mapped into memory by a library
// that trusts it: what a damaged one leads to, panics and faults of memory, is
// an error.
func unharmed(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is damaged or cut short: %v", p)
		}
	}()
	return f()
}

// checkSnapshots says whether the State can be built from what is there: the
// newest snapshot is whole, and the log goes on where it ends. The library
// would take an older one and find the gap later.
func checkSnapshots(snaps raft.SnapshotStore, logs raft.LogStore) error {
	list, err := snaps.List()
	if err != nil {
		return err
	}
	ends := uint64(0)
	if len(list) > 0 {
		ends = list[0].Index
		_, r, err := snaps.Open(list[0].ID)
		if err != nil {
			return fmt.Errorf("snapshot %s: %w", list[0].ID, err)
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	first, err := logs.FirstIndex()
	if err == nil && first > ends+1 {
		err = fmt.Errorf("the newest snapshot that can be read ends at entry %d, the log begins at %d: what lies between is missing", ends, first)
	}
	return err
}
