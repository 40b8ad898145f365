package libvirt

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// tree is a made-up machine: processes with their arguments, each seeing one
// of two hosts' run directories.
type tree struct {
	t    *testing.T
	root string
}

func newTree(t *testing.T) tree {
	tr := tree{t, t.TempDir()}
	tr.mkdir("run/libvirt/qemu")
	tr.mkdir("other/run/libvirt/qemu")
	tr.mkdir("proc")
	return tr
}

func (tr tree) mkdir(name string) {
	if err := os.MkdirAll(filepath.Join(tr.root, name), 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) write(name, text string) {
	if err := os.WriteFile(filepath.Join(tr.root, name), []byte(text), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) process(pid int, hostRoot string, args ...string) {
	dir := "proc/" + strconv.Itoa(pid)
	tr.mkdir(dir)
	tr.write(dir+"/cmdline", strings.Join(args, "\x00")+"\x00")
	if err := os.Symlink(filepath.Join(tr.root, hostRoot), filepath.Join(tr.root, dir, "root")); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) finder() finder {
	return finder{proc: procfs.New(os.DirFS(tr.root)), runDir: "/run/libvirt"}
}

func qemuArgs(uuid string) []string {
	return []string{"/usr/bin/qemu-system-x86_64", "-name", "guest=one,debug-threads=on", "-uuid", uuid}
}

func TestFinder(t *testing.T) {
	tr := newTree(t)
	tr.process(10, ".", qemuArgs(vmOne)...)
	tr.process(11, "other", qemuArgs(vmOne)...) // the same VM at another host
	tr.process(12, "other", qemuArgs(vmTwo)...)
	tr.process(13, ".", "grep", "-uuid", vmTwo)
	tr.process(14, ".", qemuArgs(vmOther)[:4]...) // -uuid without a value
	tr.mkdir("proc/15")                           // ended between two reads
	tr.process(16, ".")                           // a zombie
	f := tr.finder()
	for vm, want := range map[string]int{vmOne: 10, vmTwo: 0, vmOther: 0} {
		if got, err := f.pid(vm, ""); err != nil || got != want {
			t.Errorf("VM %s: process %d, %v, want %d", vm, got, err, want)
		}
	}
}

// The pid file is believed only if the process there is the VM's.
func TestFinderPIDFile(t *testing.T) {
	tr := newTree(t)
	tr.process(10, ".", qemuArgs(vmOne)...)
	tr.process(20, ".", qemuArgs(vmTwo)...)
	f := tr.finder()
	for _, text := range []string{"10", "10\n", "20", "21", "0", "-10", "", "ten", strings.Repeat("1", 100)} {
		tr.write("run/libvirt/qemu/one.pid", text)
		if got, err := f.pid(vmOne, "one"); err != nil || got != 10 {
			t.Errorf("pid file %q: process %d, %v", text, got, err)
		}
	}
	tr.write("run/libvirt/qemu/one.pid", "10")
	if got := f.fromPIDFile(vmOne, "one"); got != 10 {
		t.Errorf("from the pid file: %d", got)
	}
	tr.write("outside.pid", "10")
	for _, name := range []string{"../../../outside", "x/../one", "", ".."} {
		if got := f.fromPIDFile(vmOne, name); got != 0 {
			t.Errorf("name %q leads to process %d", name, got)
		}
	}
}

func TestVCPUThreads(t *testing.T) {
	for _, c := range []struct {
		comms string
		want  []int
	}{
		{"qemu-system-x86,worker,CPU 0/KVM,CPU 1/KVM,SPICE Worker,vhost-100", []int{102, 103}},
		{"CPU 1/TCG,CPU 0/TCG", []int{101, 100}},
		{"CPU 0/KVM,CPU 3/KVM", []int{100, -1, -1, 101}}, // 1 and 2 are offline
		{"qemu,ALL CPUs/TCG", []int{101}},
		{"CPU 4096/KVM,CPU -1/KVM,CPU x/KVM,CPU 1,CPU /KVM,IO mon_iothread", nil},
		{"CPU 4095/KVM", append(slices.Repeat([]int{-1}, 4095), 100)},
	} {
		var threads []procfs.Thread
		for i, comm := range strings.Split(c.comms, ",") {
			threads = append(threads, procfs.Thread{TID: 100 + i, Comm: comm})
		}
		if got := vcpuThreads(threads); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.comms, got, c.want)
		}
	}
}
