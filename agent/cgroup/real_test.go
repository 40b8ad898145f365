package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// lacking skips a test, unless hypervisors' features are required here: those
// have control groups.
func lacking(t *testing.T, err error) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "libvirt") {
		t.Fatal(err)
	}
	t.Skip(err)
}

// A busy process under a quota of a fifth of a CPU in a real group, named as
// libvirt names a VM's, below another without a quota.
func TestOnRealGroups(t *testing.T) {
	r := New(procfs.Host())
	here, err := procfs.Host().Group(os.Getpid(), "cpu")
	if err != nil {
		lacking(t, err)
	}
	tenant := filepath.Join("/", here.Mount, "evenkeel-test-"+strconv.Itoa(os.Getpid()))
	vm := filepath.Join(tenant, "qemu-1-busy.libvirt-qemu")
	vcpu, emulator := filepath.Join(vm, "vcpu0"), filepath.Join(vm, "emulator")
	for _, dir := range []string{tenant, vm, vcpu, emulator} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			lacking(t, fmt.Errorf("groups cannot be made here: %w", err))
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
	}
	setQuota(t, here.V2, tenant, vm)

	cmd := exec.Command("sh", "-c", "while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // of the signal
	})
	// By way of the VM's group: v2 lets a process into a threaded group only
	// from within the same domain.
	for _, dir := range []string{vm, emulator} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := r.Limits(cmd.Process.Pid, 1)
	if err != nil {
		t.Fatal(err)
	}
	after := untilThrottled(t, r, cmd.Process.Pid, before)
	g := after.Since(before)
	t.Logf("before %+v\nafter %+v\ngrowth %+v", before, after, g)
	if m, limited := after.Own(); m != 200 || !limited {
		t.Errorf("its own quota leaves %d, %v", m, limited)
	}
	if m, limited := after.Shared(); limited {
		t.Errorf("the tenant's slice leaves %d", m)
	}
	if own, slices := SplitQuota(1000, g, after); own != 1000 || slices != 0 {
		t.Errorf("split into %d and %d", own, slices)
	}
	if len(after.VCPU) != 1 || after.VCPU[0].Path == "" || len(after.VM) != 1 || len(after.Slices) != 1 {
		t.Errorf("%+v", after)
	}
}

// setQuota gives the VM 20 ms in 100 ms.
func setQuota(t *testing.T, v2 bool, tenant, vm string) {
	t.Helper()
	files := [][2]string{{vm + "/cpu.cfs_period_us", "100000"}, {vm + "/cpu.cfs_quota_us", "20000"}}
	if v2 {
		files = [][2]string{
			{tenant + "/cgroup.subtree_control", "+cpu"},
			{vm + "/cpu.max", "20000 100000"},
			{vm + "/vcpu0/cgroup.type", "threaded"},
			{vm + "/emulator/cgroup.type", "threaded"},
			{vm + "/cgroup.subtree_control", "+cpu"},
		}
	}
	for _, f := range files {
		if err := os.WriteFile(f[0], []byte(f[1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// untilThrottled reads until the quota has held the process back for a while.
func untilThrottled(t *testing.T, r Reader, pid int, before Limits) Limits {
	t.Helper()
	for {
		now, err := r.Limits(pid, 1)
		if err != nil {
			t.Fatal(err)
		}
		if now.Since(before).OwnNS > uint64(100*time.Millisecond) {
			return now
		}
		time.Sleep(20 * time.Millisecond)
		if err := cmdAlive(pid); err != nil {
			t.Fatal(err)
		}
	}
}

func cmdAlive(pid int) error {
	if err := syscall.Kill(pid, 0); err != nil {
		return errors.Join(errors.New("the busy process has ended"), err)
	}
	return nil
}

// The group of this process's own block I/O has the inode that stat tells.
func TestRealBlockGroup(t *testing.T) {
	b, err := New(procfs.Host()).Block(os.Getpid())
	if err != nil {
		lacking(t, err)
	}
	g, err := procfs.Host().Group(os.Getpid(), "blkio")
	if err != nil {
		t.Fatal(err)
	}
	var s syscall.Stat_t
	if err := syscall.Stat(filepath.Join("/", g.Mount, b.Path), &s); err != nil || s.Ino != b.ID || b.ID == 0 {
		t.Errorf("%+v, inode %d, %v", b, s.Ino, err)
	}
}
