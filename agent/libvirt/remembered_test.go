package libvirt

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const statusOfOne = "run/libvirt/qemu/one.xml"

// stat writes a process's stat with its start time in ticks.
func (tr tree) stat(pid, start string) {
	tr.write("proc/"+pid+"/stat", pid+" (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 "+start+" 0 0\n")
}

// replace puts another status file in the place of VM one's, written then.
func (tr tree) replace(text string, at time.Time) {
	tr.write(statusOfOne+".new", text)
	if err := os.Chtimes(filepath.Join(tr.root, statusOfOne+".new"), at, at); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(tr.root, statusOfOne+".new"), filepath.Join(tr.root, statusOfOne)); err != nil {
		tr.t.Fatal(err)
	}
}

func TestRemembered(t *testing.T) {
	tr := newTree(t)
	tr.process(10, ".", qemuArgs(vmOne)...)
	tr.stat("10", "500")
	f := tr.finder()
	now := time.Now()
	var m memory
	learn := func() {
		m = memory{}
		m.learn(vmOne, remembered{name: "one", status: f.statusInfo("one"), at: now, pid: 10, vcpus: []int{11}}, f.proc)
	}
	recalled := func(name string, at time.Time) bool {
		r, ok := m.recall(vmOne, name, f.statusInfo("one"), at, f.proc)
		if ok && (r.pid != 10 || !slices.Equal(r.vcpus, []int{11})) {
			t.Errorf("recalled %+v", r)
		}
		return ok
	}
	learn()
	if recalled("one", now) {
		t.Error("without a status file")
	}
	tr.replace("<domstatus/>", now.Add(-settled/2))
	learn()
	if recalled("one", now) {
		t.Error("by a status file that may change unseen")
	}
	tr.replace("<domstatus/>", now.Add(-time.Hour))
	learn()
	if !recalled("one", now) || !recalled("one", now.Add(relearnEvery-1)) {
		t.Error("nothing changed, and it is not recalled")
	}
	for what, ok := range map[string]bool{
		"another name": recalled("two", now), "half a minute later": recalled("one", now.Add(relearnEvery)),
	} {
		if ok {
			t.Error("recalled: ", what)
		}
	}
	tr.stat("10", "501")
	if recalled("one", now) {
		t.Error("by a process id that was reused")
	}
	tr.stat("10", "500")
	tr.replace("<domstatus/>", now.Add(-time.Hour)) // as long and as old, another inode
	if recalled("one", now) {
		t.Error("by a status file that was replaced")
	}
	learn()
	m.keep(map[string]bool{vmTwo: true})
	if recalled("one", now) {
		t.Error("though it left")
	}
	tr.process(12, ".", qemuArgs(vmTwo)...)
	tr.stat("12", "500")
	m.learn(vmOne, remembered{name: "one", status: f.statusInfo("one"), at: now, pid: 12}, f.proc)
	if recalled("one", now) {
		t.Error("with another VM's process")
	}
}
