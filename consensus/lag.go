package consensus

import (
	"sync"
	"time"
)

// lag notes for how long a leader's entries have waited for a majority. With
// both followers' disks full the leader keeps its lead, since heartbeats need
// no disk, and nothing is committed any more.
type lag struct {
	mu     sync.Mutex
	commit uint64    // the commit index when it was last seen to move
	since  time.Time // when entries above it were first seen waiting, zero while none do
}

// look takes the newest and the committed index.
func (l *lag) look(last, commit uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case last <= commit:
		l.since = time.Time{}
	case commit != l.commit || l.since.IsZero():
		l.since = time.Now()
	}
	l.commit = commit
}

// stalled is how long nothing has been committed although entries wait.
func (l *lag) stalled() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		return 0
	}
	return time.Since(l.since)
}
