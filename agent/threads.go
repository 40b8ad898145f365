package agent

import (
	"errors"
	"io/fs"
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
	started procfs.Ticks // of the process: a reused id is another one
	checked time.Duration
	byID    map[int]procfs.Thread
}

// recheckThreads is how long a thread is taken for the same by its id alone.
// Ids come round only when all of them have been used.
const recheckThreads = 30 * time.Second

// of lists a process's threads.
func (t *threads) of(pid int, now time.Duration) ([]procfs.Thread, error) {
	process, err := t.proc.Process(pid)
	if err != nil {
		delete(t.known, pid)
		return nil, err
	}
	set := t.known[pid]
	if set == nil || set.started != process.StartTime || now-set.checked >= recheckThreads {
		set = &threadSet{started: process.StartTime, checked: now}
		t.known[pid] = set
	}
	ids, err := t.proc.ThreadIDs(pid)
	if err != nil {
		return nil, err
	}
	out := make([]procfs.Thread, 0, len(ids))
	byID := make(map[int]procfs.Thread, len(ids))
	for _, id := range ids {
		th, known := set.byID[id]
		// One that bears the main thread's name may not have named itself yet.
		if !known || id != pid && th.Comm == process.Comm {
			if th, err = t.proc.Thread(pid, id); errors.Is(err, fs.ErrNotExist) {
				continue // it has ended meanwhile
			} else if err != nil {
				return nil, err
			}
		}
		byID[id] = th
		out = append(out, th)
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
