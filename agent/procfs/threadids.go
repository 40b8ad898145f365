package procfs

import (
	"fmt"
	"io/fs"
	"slices"
)

// ThreadIDs lists the ids of a process's threads, ascending: one listing of a
// directory, where Threads reads a file for each.
func (r Reader) ThreadIDs(pid int) ([]int, error) {
	path := pidPath(pid, "task")
	entries, err := fs.ReadDir(r.root, path)
	if err != nil {
		return nil, rooted(path, err)
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("read /%s: more than %d threads", path, maxEntries)
	}
	ids := make([]int, 0, len(entries))
	for _, e := range entries {
		if tid, ok := parsePID(e.Name()); ok {
			ids = append(ids, tid)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Thread reads one thread of a process.
func (r Reader) Thread(pid, tid int) (Thread, error) {
	return r.stat(taskPath(pid, tid, "stat"))
}
