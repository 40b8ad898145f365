package agent

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// threads keeps what is known of each process's threads, so that a second's
// look costs one listing of a directory and not a file for each thread.
type threads struct {
	proc  procfs.Reader
	known map[int]*threadSet // by process
}

// threadSet is one process's.
type threadSet struct {
	process procfs.Thread // its name, and when it began: a reused id is another one
	checked time.Duration
	ids     []int // ascending
	byID    map[int]listedThread
}

type listedThread struct {
	procfs.Thread
	born time.Duration // when it was first listed
}

const (
	// recheckThreads is how long a thread is taken for the same by its id alone.
	// Ids come round only when all of them have been used.
	recheckThreads = 30 * time.Second
	// nameThreads is how long a new thread that bears the main thread's name is
	// looked at again: it names itself when it begins to work.
	nameThreads = 5 * time.Second
)

// of lists a process's threads.
func (t *threads) of(pid int, now time.Duration) ([]procfs.Thread, error) {
	ids, err := t.proc.ThreadIDs(pid)
	if err != nil {
		delete(t.known, pid)
		return nil, err
	}
	set := t.known[pid]
	// Another process under the same id has threads of other ids.
	if set == nil || now-set.checked >= recheckThreads || !slices.Equal(ids, set.ids) {
		if set, err = t.renew(pid, set, now); err != nil {
			delete(t.known, pid)
			return nil, err
		}
	}
	set.ids = ids
	return t.read(pid, set, now)
}

// renew looks whether the process is still the same; nothing that is known of
// another one's threads is kept.
func (t *threads) renew(pid int, set *threadSet, now time.Duration) (*threadSet, error) {
	process, err := t.proc.Process(pid)
	if err != nil {
		return nil, err
	}
	if set == nil || set.process.StartTime != process.StartTime || now-set.checked >= recheckThreads {
		set = &threadSet{checked: now}
		t.known[pid] = set
	}
	set.process = process
	return set, nil
}

// read lists the set's threads, and looks at those that are not known well.
func (t *threads) read(pid int, set *threadSet, now time.Duration) ([]procfs.Thread, error) {
	out := make([]procfs.Thread, 0, len(set.ids))
	byID := make(map[int]listedThread, len(set.ids))
	for _, id := range set.ids {
		th, known := set.byID[id]
		if !known {
			th.born = now
		}
		if !known || id != pid && th.Comm == set.process.Comm && now-th.born < nameThreads {
			var err error
			if th.Thread, err = t.proc.Thread(pid, id); errors.Is(err, fs.ErrNotExist) {
				continue // it has ended meanwhile
			} else if err != nil {
				return nil, err
			}
		}
		byID[id] = th
		out = append(out, th.Thread)
	}
	set.byID = byID
	return out, nil
}

// keep forgets processes that are not among these.
func (t *threads) keep(pids map[int]bool) {
	for pid := range t.known {
		if !pids[pid] {
			delete(t.known, pid)
		}
	}
}
