package procfs

import (
	"io/fs"
	"syscall"
)

// TaskDir is a process's directory of threads, held open. It belongs to that
// very process: after its end it never speaks of another that got its id.
type TaskDir struct{ file fs.File }

// TaskDir opens a process's directory of threads.
func (r Reader) TaskDir(pid int) (*TaskDir, error) {
	path := pidPath(pid, "task")
	f, err := r.root.Open(path)
	if err != nil {
		return nil, rooted(path, err)
	}
	return &TaskDir{f}, nil
}

// Links grow by one with each thread of the process, and are none of its own
// once it has ended (proc_task_getattr in the kernel's fs/proc/base.c): one
// system call says whether the number of threads is as it was. ok is false
// where the tree does not count links, as one in memory.
func (d *TaskDir) Links() (n uint64, ok bool) {
	info, err := d.file.Stat()
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(stat.Nlink), true
}

// Close lets go of the directory.
func (d *TaskDir) Close() error { return d.file.Close() }
