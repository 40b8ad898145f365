package procfs

import (
	"io/fs"
	"slices"
	"strings"
)

// PIDs lists the processes by ascending id.
func (r Reader) PIDs() ([]int, error) {
	entries, err := fs.ReadDir(r.root, strings.TrimSuffix(procRoot, "/"))
	if err != nil {
		return nil, rooted("proc", err)
	}
	var pids []int
	for _, e := range entries {
		if pid, ok := parsePID(e.Name()); ok {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// Cmdline returns a process's arguments; none for a kernel thread, a zombie
// and a process that is ending.
func (r Reader) Cmdline(pid int) ([]string, error) {
	text, err := r.read(pidPath(pid, "cmdline"), maxCmdline)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSuffix(text, "\x00")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\x00"), nil
}
