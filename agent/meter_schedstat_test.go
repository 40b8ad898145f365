package agent

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// procTree is a /proc with one QEMU, whose threads the test writes.
type procTree struct{ fstest.MapFS }

func (p procTree) thread(tid int, start, run, wait, slices uint64) {
	stat := fmt.Sprintf("%d (CPU 0/KVM) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0", tid, start)
	for _, dir := range []string{fmt.Sprintf("proc/700/task/%d", tid), fmt.Sprintf("proc/%d", tid)} {
		p.MapFS[dir+"/stat"] = &fstest.MapFile{Data: []byte(stat)}
		p.MapFS[dir+"/schedstat"] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d %d %d\n", run, wait, slices)}
	}
}

func (p procTree) end(tid int) {
	for name := range p.MapFS {
		if dir := fmt.Sprintf("proc/700/task/%d/", tid); len(name) > len(dir) && name[:len(dir)] == dir {
			delete(p.MapFS, name)
		}
	}
}

// A VM counts from the moment it is followed; a thread that is born later
// counts whole, one that ends stays in the sums, and no sum ever falls.
func TestSchedstatMeter(t *testing.T) {
	tree := procTree{fstest.MapFS{}}
	tree.thread(700, 5, 100, 10, 1) // QEMU's main thread
	tree.thread(701, 5, 1000, 500, 7)
	m := NewSchedstatMeter(procfs.New(tree), func() time.Duration { return time.Minute }, func() time.Time { return time.Unix(9, 0) })
	guest := Guest{UUID: vmID(1), Name: "db", PID: 700, VCPUThreads: []int{701}}
	read := func() VMReading {
		t.Helper()
		if err := m.Follow([]Guest{guest}); err != nil {
			t.Fatal(err)
		}
		r, err := m.Read()
		if err != nil {
			t.Fatal(err)
		}
		return r.VMs[vmID(1)]
	}
	if v := read(); v.RunNS != 0 || v.WaitNS != 0 || v.Waits != 0 || len(v.VCPUs) != 1 {
		t.Errorf("at first: %+v", v)
	}
	tree.thread(701, 5, 1600, 900, 12)
	tree.thread(700, 5, 150, 10, 2)
	tree.thread(702, 80, 30, 0, 1) // a worker, born since
	if v := read(); v.RunNS != 600 || v.WaitNS != 400 || v.Waits != 5 || v.Others != 80 || v.VCPUs[0].WaitNS != 400 {
		t.Errorf("later: %+v", v)
	}
	tree.end(702)
	tree.end(701)
	tree.thread(703, 90, 40, 20, 2) // the vCPU was plugged out, another one in
	guest.VCPUThreads = []int{703}
	if v := read(); v.RunNS != 640 || v.WaitNS != 420 || v.Waits != 7 || v.Others != 80 || v.VCPUs[0].TID != 703 {
		t.Errorf("after its threads came and went: %+v", v)
	}
	if m.Source() != cluster.SourceSchedstat {
		t.Errorf("source %s", m.Source())
	}
	tree.thread(700, 600, 1, 1, 1) // the process id belongs to another VM now
	if v := read(); v.RunNS != 0 || v.Others != 0 {
		t.Errorf("another process under the same id: %+v", v)
	}
}
