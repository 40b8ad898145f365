package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Ticks is a time since boot in clock ticks of 10 ms, the unit in which the
// kernel says when a thread began. A thread id together with it is unique
// until the next boot.
type Ticks uint64

// Thread is one thread of a process.
type Thread struct {
	TID       int
	Comm      string // its name, at most 15 bytes, any bytes
	StartTime Ticks
}

// Threads lists a process's threads by ascending id. Threads that end while
// the list is made are left out.
func (r Reader) Threads(pid int) ([]Thread, error) {
	ids, err := r.ThreadIDs(pid)
	if err != nil {
		return nil, err
	}
	threads := make([]Thread, 0, len(ids))
	for _, tid := range ids {
		t, err := r.Thread(pid, tid)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		threads = append(threads, t)
	}
	return threads, nil
}

// Process reads a process's main thread: its name and when it began.
func (r Reader) Process(pid int) (Thread, error) {
	return r.stat(pidPath(pid, "stat"))
}

func (r Reader) stat(path string) (Thread, error) {
	text, err := r.read(path, maxSmall)
	if err != nil {
		return Thread{}, err
	}
	t, err := parseStat(text)
	if err != nil {
		return Thread{}, malformed(path, err.Error())
	}
	return t, nil
}

// parseStat takes a thread's stat line apart. The name stands in brackets and
// may hold brackets, blanks and newlines itself, so it ends at the last one.
func parseStat(text string) (Thread, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Thread{}, errors.New("no name in brackets")
	}
	tid, ok := parsePID(strings.TrimSpace(text[:open]))
	if !ok {
		return Thread{}, fmt.Errorf("thread id %q", text[:open])
	}
	const startTime = 22 - 3 // field 22, counted from the state, which is field 3
	rest := strings.Fields(text[end+1:])
	if len(rest) <= startTime {
		return Thread{}, fmt.Errorf("%d fields, want at least 22", len(rest)+2)
	}
	ticks, err := strconv.ParseUint(rest[startTime], 10, 64)
	if err != nil {
		return Thread{}, fmt.Errorf("start time %q", rest[startTime])
	}
	return Thread{TID: tid, Comm: text[open+1 : end], StartTime: Ticks(ticks)}, nil
}
