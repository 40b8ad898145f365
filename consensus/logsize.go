package consensus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The library bounds its log by entries: a snapshot after 1024, and 512 kept
// behind it. An entry of load may be a megabyte, so that alone would be 1.5 GiB.
// These bound it by bytes as well. What a log needs on the disk is about their
// sum, and as much again while a follower is served or pages are copied.
const (
	snapshotBytes = 128 << 20 // of entries between snapshots
	trailingBytes = 64 << 20  // of entries kept behind a snapshot for followers that lag
	minTrailing   = 16        // entries, however large
	entryOverhead = 64        // bytes of an entry beside its data, about
)

// scale weighs what is stored in the log.
type scale struct {
	limit, trailing int64
	full            chan struct{} // limit is reached

	mu    sync.Mutex
	since int64 // bytes since the last snapshot that was asked for
	mean  int64 // bytes of recent entries
}

func newScale() *scale {
	return &scale{limit: snapshotBytes, trailing: trailingBytes, full: make(chan struct{}, 1)}
}

func (s *scale) add(logs []*raft.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range logs {
		size := int64(len(l.Data)) + entryOverhead
		s.since += size
		s.mean += (size - s.mean) / 64
	}
	if s.since >= s.limit {
		select {
		case s.full <- struct{}{}:
		default:
		}
	}
}

// reset begins anew, and says how many entries may trail a snapshot.
func (s *scale) reset() (trailing uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = 0
	return uint64(min(max(s.trailing/max(s.mean, 1), minTrailing), trailingLogs))
}

// weighedLogs is a log store on the scale.
type weighedLogs struct {
	raft.LogStore
	scale *scale
}

// StoreLog implements raft.LogStore.
func (w weighedLogs) StoreLog(l *raft.Log) error { return w.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (w weighedLogs) StoreLogs(logs []*raft.Log) error {
	err := w.LogStore.StoreLogs(logs)
	if err == nil {
		w.scale.add(logs)
	}
	return err
}

const snapshotPause = 10 * time.Second // after one that failed

// followLog has a snapshot made whenever the log has grown by the limit.
func (n *Node) followLog() {
	for {
		select {
		case <-n.scale.full:
		case <-n.ctx.Done():
			return
		}
		if err := n.compact(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Warn("the log was not cut short", "err", err)
			select {
			case <-time.After(snapshotPause):
			case <-n.ctx.Done():
				return
			}
		}
	}
}

// compact makes a snapshot now and forgets the entries behind it.
func (n *Node) compact(ctx context.Context) error {
	c := n.raft.ReloadableConfig()
	c.TrailingLogs = n.scale.reset()
	if err := n.raft.ReloadConfig(c); err != nil {
		return err
	}
	err := n.call(ctx, func() error { return n.raft.Snapshot().Error() })
	if errors.Is(err, raft.ErrNothingNewToSnapshot) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
