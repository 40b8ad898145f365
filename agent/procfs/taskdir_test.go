package procfs_test

import (
	"os/exec"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// A held directory tells that threads came and that its process ended, also
// while the dead process's id is still taken.
func TestTaskDirTellsOfThreads(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	own, err := procfs.Host().TaskDir(unix.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	other, err := procfs.Host().TaskDir(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	alive, ok := other.Links()
	many, also := own.Links()
	ids, err := procfs.Host().ThreadIDs(cmd.Process.Pid)
	if !ok || !also || err != nil || len(ids) != 1 {
		t.Fatalf("links %d %v, %d %v, threads %v, %v", alive, ok, many, also, ids, err)
	}
	if many <= alive { // the Go runtime has several threads, sleep has one
		t.Errorf("this test's links are %d, those of one thread %d", many, alive)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if dead, ok := other.Links(); !ok || dead >= alive {
		t.Errorf("links of a process that ended: %d %v, alive %d", dead, ok, alive)
	}
	if _, err := procfs.Host().TaskDir(cmd.Process.Pid); err == nil {
		t.Error("the directory of a process that ended opens")
	}
}

func TestTaskDirWithoutLinks(t *testing.T) {
	tree := fstest.MapFS{"proc/7/task/7/stat": &fstest.MapFile{}}
	d, err := procfs.New(tree).TaskDir(7)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if n, ok := d.Links(); ok {
		t.Errorf("a tree in memory counts %d links", n)
	}
}
