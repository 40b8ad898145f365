package bpf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loopDevice is a loop device on a file of its own, with direct I/O below.
type loopDevice struct {
	name string // loop7
	path string // /dev/loop7
	file string // below
}

const loopFileBytes = 64 << 20

func newLoop(t *testing.T) loopDevice {
	t.Helper()
	d := loopDevice{file: filepath.Join(t.TempDir(), "disk")}
	// Written, not only allocated: an unwritten extent is converted by the file
	// system's own threads.
	if err := os.WriteFile(d.file, bytes.Repeat([]byte{1}, loopFileBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	below, err := os.OpenFile(d.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	if err := below.Sync(); err != nil {
		t.Fatal(err)
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	needBPF(t, err)
	defer control.Close()
	for range 16 { // another test may take the same one
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		needBPF(t, err)
		d.name, d.path = fmt.Sprint("loop", n), fmt.Sprint("/dev/loop", n)
		dev, err := os.OpenFile(d.path, os.O_RDWR, 0)
		needBPF(t, err)
		config := unix.LoopConfig{Fd: uint32(below.Fd()), Size: 4096}
		config.Info.Flags = unix.LO_FLAGS_DIRECT_IO
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &config)
		if err == unix.EBUSY {
			dev.Close()
			continue
		}
		needBPF(t, err)
		t.Cleanup(func() {
			if err := unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
				t.Errorf("release %s: %v", d.path, err)
			}
			dev.Close()
		})
		return d
	}
	t.Fatal("no loop device stayed free")
	return d
}

// needBPF skips the test for want of a feature of this machine, or fails it if
// EVENKEEL_REQUIRE says that BPF tests must run.
func needBPF(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if strings.Contains(os.Getenv("EVENKEEL_REQUIRE"), "bpf") {
		t.Fatal(err)
	}
	t.Skip("not here: ", err)
}

// blockTruth is a device's own account, as the kernel's
// Documentation/block/stat.rst has its fields.
type blockTruth struct {
	reads, readMerges, readSectors, readMS             uint64
	writes, writeMerges, writeSectors, writeMS         uint64
	inFlight, ioMS, timeMS                             uint64
	discards, discardMerges, discardSectors, discardMS uint64
	flushes, flushMS                                   uint64
}

func (d loopDevice) stat(t *testing.T) blockTruth {
	t.Helper()
	text, err := os.ReadFile("/sys/block/" + d.name + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	return parseBlockStat(t, string(text))
}

func parseBlockStat(t *testing.T, text string) (s blockTruth) {
	t.Helper()
	if _, err := fmt.Sscan(text, &s.reads, &s.readMerges, &s.readSectors, &s.readMS,
		&s.writes, &s.writeMerges, &s.writeSectors, &s.writeMS, &s.inFlight, &s.ioMS, &s.timeMS,
		&s.discards, &s.discardMerges, &s.discardSectors, &s.discardMS, &s.flushes, &s.flushMS); err != nil {
		t.Fatalf("stat %q: %v", text, err)
	}
	return s
}

func openBlock(t *testing.T) *Block {
	t.Helper()
	b, err := OpenBlock(BlockOptions{MaxVMs: 8})
	needBPF(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func readBlock(t *testing.T, b *Block) BlockReading {
	t.Helper()
	r, err := b.Read()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// blkCgroup is a new cgroup that block I/O is charged to, of whichever version
// this machine has, and its id.
func blkCgroup(t *testing.T, name string) (*os.File, uint64) {
	t.Helper()
	root := "/sys/fs/cgroup/blkio"
	if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
		root = "/sys/fs/cgroup"
		control, err := os.ReadFile(root + "/cgroup.subtree_control")
		needBPF(t, err)
		if !strings.Contains(" "+string(control), " io") {
			needBPF(t, os.WriteFile(root+"/cgroup.subtree_control", []byte("+io"), 0))
		}
	}
	dir := fmt.Sprintf("%s/evenkeel-test-%d-%s", root, os.Getpid(), name)
	needBPF(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return f, st.Ino
}
