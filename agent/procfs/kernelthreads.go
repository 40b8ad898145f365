package procfs

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// KernelThreads lists the kernel's threads whose names begin with the prefix,
// by ascending id. A look at every process: ask seldom.
func (r Reader) KernelThreads(prefix string) ([]Thread, error) {
	pids, err := r.PIDs()
	if err != nil {
		return nil, err
	}
	var out []Thread
	for _, pid := range pids {
		comm, err := r.read(pidPath(pid, "comm"), maxSmall)
		if err != nil {
			continue // it ended, or is hidden from us
		}
		if !strings.HasPrefix(comm, prefix) {
			continue
		}
		switch of, err := r.kernelThread(pid); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case of != nil:
			out = append(out, *of)
		}
	}
	slices.SortFunc(out, func(a, b Thread) int { return a.TID - b.TID })
	return out, nil
}

// kernelThread reads one process if its parent is kthreadd: a name alone is
// no proof, since every process chooses its own.
func (r Reader) kernelThread(pid int) (*Thread, error) {
	const kthreadd = 2
	path := pidPath(pid, "stat")
	text, err := r.read(path, maxSmall)
	if err != nil {
		return nil, err
	}
	t, err := parseStat(text)
	if err != nil {
		return nil, malformed(path, err.Error())
	}
	parent := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])[1] // parseStat saw more fields than that
	if parent != strconv.Itoa(kthreadd) {
		return nil, nil
	}
	return &t, nil
}
