package agent

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// threads keeps what is known of each process's threads, so that a second's
// look at a process whose threads are the same costs one system call.
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
	list    []procfs.Thread

	dir     *procfs.TaskDir // held open, nil if it cannot be
	links   uint64          // of dir before the threads were listed, 0 if unknown
	listed  time.Duration   // when they were
	unnamed bool            // one of them may yet name itself
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
	// relistThreads is how long threads are taken for the same by their number
	// alone: one may have ended just as another was born.
	relistThreads = 5 * time.Second
)

// of lists a process's threads, which the caller does not change.
func (t *threads) of(pid int, now time.Duration) ([]procfs.Thread, error) {
	set := t.known[pid]
	if set.same(now) {
		return set.list, nil
	}
	links := set.count() // before the listing: who comes between is noticed next time
	ids, err := t.proc.ThreadIDs(pid)
	if err != nil {
		t.forget(pid)
		return nil, err
	}
	// Another process under the same id has threads of other ids.
	if set == nil || now-set.checked >= recheckThreads || !slices.Equal(ids, set.ids) {
		old := set
		if set, err = t.renew(pid, set, now); err != nil {
			t.forget(pid)
			return nil, err
		}
		if set != old {
			links = 0 // of the directory that was held before
		}
	}
	set.ids, set.links, set.listed = ids, links, now
	return t.read(pid, set, now)
}

// same says that nothing speaks for a change since the last listing.
func (s *threadSet) same(now time.Duration) bool {
	if s == nil || s.links == 0 || s.unnamed || now-s.listed >= relistThreads || now-s.checked >= recheckThreads {
		return false
	}
	return s.count() == s.links
}

// count is the links of the held directory, 0 if they are not known.
func (s *threadSet) count() uint64 {
	if s == nil || s.dir == nil {
		return 0
	}
	links, _ := s.dir.Links()
	return links
}

// renew looks whether the process is still the same; nothing that is known of
// another one's threads is kept.
func (t *threads) renew(pid int, set *threadSet, now time.Duration) (*threadSet, error) {
	process, err := t.proc.Process(pid)
	if err != nil {
		return nil, err
	}
	if set == nil || set.process.StartTime != process.StartTime || now-set.checked >= recheckThreads {
		t.forget(pid)
		set = &threadSet{checked: now}
		// Without it, for want of descriptors say, threads are listed each time.
		set.dir, _ = t.proc.TaskDir(pid)
		t.known[pid] = set
	}
	set.process = process
	return set, nil
}

// read lists the set's threads, and looks at those that are not known well.
func (t *threads) read(pid int, set *threadSet, now time.Duration) ([]procfs.Thread, error) {
	out := make([]procfs.Thread, 0, len(set.ids))
	byID := make(map[int]listedThread, len(set.ids))
	set.unnamed = false
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
		set.unnamed = set.unnamed || id != pid && th.Comm == set.process.Comm && now-th.born < nameThreads
		byID[id] = th
		out = append(out, th.Thread)
	}
	set.byID, set.list = byID, out
	return out, nil
}

// keep forgets processes that are not among these.
func (t *threads) keep(pids map[int]bool) {
	for pid := range t.known {
		if !pids[pid] {
			t.forget(pid)
		}
	}
}

// forget lets go of a process.
func (t *threads) forget(pid int) {
	set := t.known[pid]
	if set == nil {
		return
	}
	if set.dir != nil {
		_ = set.dir.Close() // only ever looked at
	}
	delete(t.known, pid)
}
