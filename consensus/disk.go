package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// disk watches what Raft asks of its stores: how long each operation takes,
// which are under way, what failed last.
type disk struct {
	write func(bytes int) error // writes and syncs a probe; nil: there is none

	mu      sync.Mutex
	probes  int                  // made so far
	ops     uint64               // begun so far
	pending map[uint64]time.Time // operation → when it began
	appends map[uint64]struct{}  // of those, the ones that append to the log
	ended   time.Time            // when the last one ended
	last    time.Duration        // of the last append
	failed  error                // of the last operation that said, nil if it went well
}

// newDisk watches the disk under a data directory, or one that is probed
// otherwise.
func newDisk(dir string, probe func(bytes int) error) *disk {
	if probe == nil && dir != "" {
		probe = func(bytes int) error { return writeProbe(dir, bytes) }
	}
	return &disk{write: probe, pending: make(map[uint64]time.Time), appends: make(map[uint64]struct{}), ended: time.Now()}
}

// time runs an operation and notes how long it took and how it ended.
func (d *disk) time(appends bool, op func() error) error {
	d.mu.Lock()
	d.ops++
	id, began := d.ops, time.Now()
	d.pending[id] = began
	if appends {
		d.appends[id] = struct{}{}
	}
	d.mu.Unlock()
	err := op()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, id)
	delete(d.appends, id)
	d.ended, d.failed = time.Now(), err
	if appends {
		d.last = d.ended.Sub(began)
	}
	return err
}

// stall is how long the oldest operation under way has taken, 0 if there is
// none.
func (d *disk) stall() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var oldest time.Duration
	for _, began := range d.pending {
		oldest = max(oldest, time.Since(began))
	}
	return oldest
}

// latency is the duration of the last append, or of one that is under way if
// that is longer already.
func (d *disk) latency() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	latency := d.last
	for id := range d.appends {
		latency = max(latency, time.Since(d.pending[id]))
	}
	return latency
}

// idle is how long nothing has been asked of the disk.
func (d *disk) idle() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pending) > 0 {
		return 0
	}
	return time.Since(d.ended)
}

// unfit says why a member with this disk should not lead, or nil: an operation
// hangs, or the last one failed, as they do on a full disk.
func (d *disk) unfit() error {
	if stall := d.stall(); stall > diskStall {
		return fmt.Errorf("its disk has not answered for %v", stall.Round(100*time.Millisecond))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return fmt.Errorf("its disk refuses: %w", d.failed)
	}
	return nil
}

const (
	probeFile  = "probe"
	probeSmall = 32       // bytes, in their place, to see whether the disk answers
	probeRoom  = 4 << 10  // anew, now and then, to see whether there is room at all
	probeLarge = 64 << 10 // after a failure, to see whether there is room for an entry again

	// A probe in its place costs the disk one block, one written anew several
	// blocks of the file system's journal as well: with two a second that was
	// more than a small fleet's log.
	probesPerRoom = 10
)

// probe writes and syncs a file. A frozen file system holds the caller until
// it thaws: run it aside.
func (d *disk) probe() {
	d.mu.Lock()
	size := probeSmall
	switch {
	case d.failed != nil:
		size = probeLarge
	case d.probes%probesPerRoom == 0:
		size = probeRoom
	}
	d.probes++
	d.mu.Unlock()
	_ = d.time(false, func() error { return d.write(size) }) // kept as the failure
}

// writeProbe writes the file: a small one in its place, others anew, so that
// the file system has to find room for them.
func writeProbe(dir string, size int) error {
	path := filepath.Join(dir, probeFile)
	if size > probeSmall {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = f.Write(make([]byte, size))
		return errors.Join(err, f.Sync(), f.Close())
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, size), 0)
	return errors.Join(err, unix.Fdatasync(int(f.Fd())), f.Close())
}

// timedLogs is a log store under the disk's watch.
type timedLogs struct {
	raft.LogStore
	disk *disk
}

// StoreLog implements raft.LogStore.
func (t timedLogs) StoreLog(l *raft.Log) error { return t.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (t timedLogs) StoreLogs(logs []*raft.Log) error {
	return t.disk.time(true, func() error { return t.LogStore.StoreLogs(logs) })
}

// patientStable is the store of term and vote under the disk's watch. The
// library panics when it cannot store a term, as on a full disk in the middle
// of an election; this one tries again until it can, so that the process stays
// up, says why, and goes on by itself once there is room. Meanwhile the member
// is like one whose disk hangs.
type patientStable struct {
	raft.StableStore
	disk *disk
}

const stablePause = 500 * time.Millisecond // between attempts

// Set implements raft.StableStore.
func (s patientStable) Set(key, value []byte) error {
	return s.insist(func() error { return s.StableStore.Set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (s patientStable) SetUint64(key []byte, value uint64) error {
	return s.insist(func() error { return s.StableStore.SetUint64(key, value) })
}

// insist counts as one operation, however often it tries: the gate shuts. Not
// even a Close ends it: an answer that is not true could be a second vote in
// one term after the next start. Close gives up on it after its own bound.
func (s patientStable) insist(op func() error) error {
	return s.disk.time(false, func() error {
		for {
			err := op()
			if err == nil {
				return nil
			}
			s.disk.note(fmt.Errorf("store the term or the vote: %w", err))
			time.Sleep(stablePause)
		}
	})
}

// note keeps the error of an operation that goes on.
func (d *disk) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
}
