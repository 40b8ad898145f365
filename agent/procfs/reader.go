package procfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Bounds on what is read. The kernel limits a command line to 6 MiB (three
// quarters of the default stack limit), so maxCmdline refuses none of its own.
const (
	maxSmall   = 4 << 10 // one line or a few
	maxTable   = 4 << 20 // stat, mountinfo: grow with CPUs or mounts
	maxCmdline = 8 << 20 // a process's arguments
	maxEntries = 1 << 18 // threads of one process
	maxPID     = 1 << 22 // PID_MAX_LIMIT on 64 bit
	procRoot   = "proc/" // all paths are relative to the root of the tree
	sysCPU     = "sys/devices/system/cpu/"
)

// Reader reads /proc and /sys below one root. It keeps no state and may be
// used by several goroutines.
type Reader struct{ root fs.FS }

// New returns a reader of a tree that holds proc and sys, such as os.DirFS("/")
// or a captured fixture.
func New(root fs.FS) Reader { return Reader{root: root} }

// Host returns a reader of this machine.
func Host() Reader { return New(os.DirFS("/")) }

// FS returns the tree that the reader reads.
func (r Reader) FS() fs.FS { return r.root }

// read returns the file's content, refusing more than limit bytes. A process
// that ends between open and read answers ESRCH, which becomes ErrNotExist so
// that callers have one condition to check.
func (r Reader) read(path string, limit int64) (string, error) {
	f, err := r.root.Open(path)
	if err != nil {
		return "", rooted(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", rooted(path, err)
	}
	if int64(len(data)) > limit {
		return "", fmt.Errorf("read /%s: larger than %d bytes", path, limit)
	}
	return string(data), nil
}

// rooted names the path as an operator knows it and folds ESRCH into
// fs.ErrNotExist.
func rooted(path string, err error) error {
	if errors.Is(err, syscall.ESRCH) {
		err = fs.ErrNotExist
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("read /%s: %w", path, err)
}

// malformed says that a file's content is not what the kernel documents.
func malformed(path, what string) error {
	return fmt.Errorf("parse /%s: %s", path, what)
}

func pidPath(pid int, name string) string {
	return procRoot + strconv.Itoa(pid) + "/" + name
}

func taskPath(pid, tid int, name string) string {
	return procRoot + strconv.Itoa(pid) + "/task/" + strconv.Itoa(tid) + "/" + name
}

// parsePID accepts a directory's or file's text as a process or thread id.
func parsePID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || n > maxPID || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return int(n), true
}
