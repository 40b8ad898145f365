package agent

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// linked gives directories of threads the links that /proc does.
type linked struct{ fs.FS }

func (l linked) Open(name string) (fs.File, error) {
	f, err := l.FS.Open(name)
	if err != nil || path.Base(name) != "task" {
		return f, err
	}
	return linkedFile{f.(fs.ReadDirFile), l.FS, name}, nil
}

type linkedFile struct {
	fs.ReadDirFile
	tree fs.FS
	name string
}

func (f linkedFile) Stat() (fs.FileInfo, error) {
	info, err := f.ReadDirFile.Stat()
	entries, _ := fs.ReadDir(f.tree, f.name) // none: the process ended
	return linkedInfo{info, &syscall.Stat_t{Nlink: uint64(2 + len(entries))}}, err
}

type linkedInfo struct {
	fs.FileInfo
	stat *syscall.Stat_t
}

func (i linkedInfo) Sys() any { return i.stat }

// While the number of threads stays, they are listed once in five seconds; one
// more or fewer is seen at once, and one that has yet to name itself as soon
// as it does.
func TestThreadsAreListedWhenTheirNumberChanges(t *testing.T) {
	tree := procTree{fstest.MapFS{}}
	tree.named(700, "qemu-system-x86", 5)
	tree.named(701, "CPU 0/KVM", 5)
	look := counting{linked{tree.MapFS}, map[string]int{}}
	list := threads{procfs.New(look), map[int]*threadSet{}}
	defer list.keep(nil)
	of := func(second int) []procfs.Thread {
		t.Helper()
		found, err := list.of(700, time.Duration(second)*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for second := range 5 {
		of(second)
	}
	// Listed, held open, and listed once more: what came before it was held
	// would not be noticed else.
	if n := look.opened["proc/700/task"]; n != 3 {
		t.Errorf("opened %d times in five seconds, want 3", n)
	}
	tree.named(702, "qemu-system-x86", 80)
	if got := of(5); len(got) != 3 {
		t.Errorf("a thread that was born: %v", got)
	}
	tree.named(702, "IO iothread1", 80)
	if got := of(6); got[2].Comm != "IO iothread1" {
		t.Errorf("a thread that named itself: %v", got)
	}
	tree.end(702)
	if got := of(7); len(got) != 2 {
		t.Errorf("a thread that ended: %v", got)
	}
	for second := 8; second < 12; second++ { // nobody is without a name any more
		of(second)
	}
	tree.end(701)
	tree.named(703, "CPU 1/KVM", 90)
	opened := look.opened["proc/700/task"]
	of(13)
	if got := of(17); len(got) != 2 || got[1].TID != 703 {
		t.Errorf("one thread for another, after five seconds: %v", got)
	}
	if look.opened["proc/700/task"] == opened {
		t.Error("the threads were not listed again after five seconds")
	}
}

// The kernel's own directory says that a process ended, whoever has its id.
func TestThreadsOfAProcessThatEnded(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	look := counting{os.DirFS("/"), map[string]int{}}
	list := threads{procfs.New(look), map[int]*threadSet{}}
	defer list.keep(nil)
	pid := cmd.Process.Pid
	for second := range 20 {
		if got, err := list.of(pid, 10*time.Second+time.Duration(second)*time.Millisecond); err != nil || len(got) != 1 || got[0].TID != pid {
			t.Errorf("look %d: %v, %v", second, got, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if got, err := list.of(pid, 10*time.Second+time.Second); err == nil {
		t.Errorf("threads of a process that ended: %v", got)
	}
	if len(list.known) != 0 {
		t.Error("a process that ended is still held open")
	}
}
