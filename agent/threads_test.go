package agent

import (
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// counting counts how often each file is opened.
type counting struct {
	fs.FS
	opened map[string]int
}

func (c counting) Open(name string) (fs.File, error) {
	c.opened[name]++
	return c.FS.Open(name)
}

// A thread's file is read when it comes and once in thirty seconds; threads
// that came, went, and whose process's id was reused are noticed at once.
func TestThreadsAreReadOnce(t *testing.T) {
	tree := procTree{fstest.MapFS{}}
	tree.named(700, "qemu-system-x86", 5)
	tree.named(701, "CPU 0/KVM", 5)
	look := counting{tree.MapFS, map[string]int{}}
	list := threads{procfs.New(look), map[int]*threadSet{}}
	of := func(second int) map[int]procfs.Ticks {
		t.Helper()
		found, err := list.of(700, time.Duration(second)*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		out := map[int]procfs.Ticks{}
		for _, th := range found {
			out[th.TID] = th.StartTime
		}
		return out
	}
	for second := range 10 {
		if got := of(second); len(got) != 2 || got[701] != 5 {
			t.Fatalf("second %d: %v", second, got)
		}
	}
	if n := look.opened["proc/700/task/701/stat"]; n != 1 {
		t.Errorf("read %d times in ten seconds, want once", n)
	}
	tree.named(702, "qemu-system-x86", 80)
	if got := of(10); got[702] != 80 {
		t.Errorf("a thread that was born: %v", got)
	}
	tree.named(702, "IO iothread1", 80)
	found, err := list.of(700, 10*time.Second)
	if err != nil || found[2].Comm != "IO iothread1" {
		t.Errorf("a thread that named itself is still %+v, %v", found, err)
	}
	tree.end(701)
	if got := of(11); len(got) != 2 {
		t.Errorf("a thread that ended: %v", got)
	}
	tree.named(702, "IO iothread1", 90)
	if got := of(41); got[702] != 90 {
		t.Errorf("an id that came round: %v", got)
	}
	tree.named(700, "qemu-system-x86", 500)
	tree.end(702)
	tree.named(705, "CPU 0/KVM", 501)
	if got := of(42); len(got) != 2 || got[700] != 500 || got[705] != 501 {
		t.Errorf("another process under the same id: %v", got)
	}
	list.keep(map[int]bool{})
	if len(list.known) != 0 {
		t.Error("a process that is gone is still known")
	}
	if _, err := list.of(999, 0); err == nil {
		t.Error("threads of no process")
	}
}

// named makes a thread of a name, or gives it another.
func (p procTree) named(tid int, comm string, start uint64) {
	stat := fmt.Sprintf("%d (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0", tid, comm, start)
	for _, dir := range []string{fmt.Sprintf("proc/700/task/%d", tid), fmt.Sprintf("proc/%d", tid)} {
		p.MapFS[dir+"/stat"] = &fstest.MapFile{Data: []byte(stat)}
	}
}
