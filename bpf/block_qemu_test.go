package bpf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// blockGuestModules are what a Debian cloud kernel needs to see a virtio disk, in
// the order in which they depend on each other.
var blockGuestModules = []string{
	"virtio/virtio_ring.ko", "virtio/virtio.ko", "virtio/virtio_pci_legacy_dev.ko", "virtio/virtio_pci_modern_dev.ko",
	"virtio/virtio_pci.ko", "block/virtio_blk.ko",
}

// blockGuestPackages are kernels that guests have been seen to boot, newest
// first; archives drop old ones.
var blockGuestPackages = []string{
	"linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64", "linux-image-6.1.0-47-cloud-amd64",
}

// needQEMU skips the test for want of a guest, or fails it if EVENKEEL_REQUIRE
// says that tests with QEMU must run.
func needQEMU(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if strings.Contains(os.Getenv("EVENKEEL_REQUIRE"), "qemu") {
		t.Fatal(err)
	}
	t.Skip("not here: ", err)
}

// blockGuestKernel finds an unpacked kernel package, or fetches one: unpacked
// only, nothing is installed.
func blockGuestKernel(t *testing.T) (vmlinuz, drivers string) {
	t.Helper()
	cache, err := filepath.Abs("../.cache/block-guest")
	needQEMU(t, err)
	find := func() bool {
		for _, dir := range []string{cache, filepath.Dir(cache) + "/vm"} {
			found, _ := filepath.Glob(dir + "/linux-image-6.1.*-cloud-amd64/lib/modules/*/kernel/drivers/block/virtio_blk.ko")
			for _, ko := range found {
				drivers = filepath.Dir(filepath.Dir(ko))
				release := filepath.Base(filepath.Dir(filepath.Dir(drivers)))
				vmlinuz = filepath.Join(drivers, "../../../../..", "boot/vmlinuz-"+release)
				if _, err := os.Stat(vmlinuz); err == nil {
					return true
				}
			}
		}
		return false
	}
	if find() {
		return vmlinuz, drivers
	}
	needQEMU(t, os.MkdirAll(cache, 0o755))
	var failures []error
	for _, name := range blockGuestPackages {
		tmp := t.TempDir()
		if failure := unpackDebian(t, name, tmp, filepath.Join(cache, name)); failure != nil {
			failures = append(failures, failure)
		} else if find() {
			return vmlinuz, drivers
		}
	}
	needQEMU(t, fmt.Errorf("a kernel for the guest (apt-get update may help): %w", errors.Join(failures...)))
	return "", ""
}

// unpackDebian fetches a package and unpacks it; dir is whole or absent.
func unpackDebian(t *testing.T, name, tmp, dir string) error {
	download := exec.CommandContext(t.Context(), "apt-get", "--quiet", "download", name)
	download.Dir = tmp
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download %s: %w: %s", name, err, out)
	}
	packages, err := filepath.Glob(tmp + "/*.deb")
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages", name, len(packages))
	}
	if out, err := exec.CommandContext(t.Context(), "dpkg", "-x", packages[0], dir+".new").CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", name, err, out)
	}
	return os.Rename(dir+".new", dir)
}

// blockInitramfs builds the guest's root: /init and its modules.
func blockInitramfs(t *testing.T, drivers string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/init", "./testdata/block_guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest's init: %v\n%s", err, out)
	}
	program, err := os.ReadFile(dir + "/init")
	if err != nil {
		t.Fatal(err)
	}
	var cpio bytes.Buffer
	for _, name := range []string{"dev", "proc", "sys", "modules"} {
		cpioMember(&cpio, name, 0o040755, nil, 0, 0)
	}
	cpioMember(&cpio, "dev/console", 0o020600, nil, 5, 1)
	cpioMember(&cpio, "init", 0o100755, program, 0, 0)
	for i, m := range blockGuestModules {
		module, err := os.ReadFile(filepath.Join(drivers, m))
		needQEMU(t, err)
		cpioMember(&cpio, fmt.Sprintf("modules/%02d-%s", i, filepath.Base(m)), 0o100644, module, 0, 0)
	}
	cpioMember(&cpio, "TRAILER!!!", 0, nil, 0, 0)
	path := dir + "/initrd"
	if err := os.WriteFile(path, cpio.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cpioMember appends one member in the "newc" format.
func cpioMember(w *bytes.Buffer, name string, mode uint32, data []byte, major, minor uint32) {
	pad := func() { w.Write(make([]byte, -w.Len()&3)) }
	fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		w.Len()+1, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	pad()
	w.Write(data)
	pad()
}

// blockGuest is a QEMU guest that does block I/O on command.
type blockGuest struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	console *bufio.Reader
	log     []string
}

// startBlockGuest boots a guest with a virtio disk for each drive, in a cgroup
// if one is given.
func startBlockGuest(t *testing.T, cgroup *os.File, drives ...string) *blockGuest {
	t.Helper()
	vmlinuz, drivers := blockGuestKernel(t)
	args := []string{
		"-accel", "tcg", "-m", "192", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", vmlinuz, "-initrd", blockInitramfs(t, drivers), "-append", "console=ttyS0 no_timer_check quiet panic=-1",
	}
	for i, d := range drives {
		args = append(args, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,cache=none,%s", i, d), "-device", fmt.Sprintf("virtio-blk-pci,drive=d%d", i))
	}
	g := &blockGuest{cmd: exec.CommandContext(t.Context(), "qemu-system-x86_64", args...)}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var errOut bytes.Buffer
	g.cmd.Stderr = &errOut
	var err error
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	g.console = bufio.NewReader(out)
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		if t.Failed() {
			t.Logf("QEMU: %s\nconsole:\n%s", errOut.String(), strings.Join(g.log, "\n"))
		}
	})
	if cgroup != nil {
		// Threads that QEMU makes from now on are born there.
		if err := os.WriteFile(cgroup.Name()+"/cgroup.procs", fmt.Append(nil, g.cmd.Process.Pid), 0); err != nil {
			t.Fatal(err)
		}
	}
	g.await(t, "ek-ready")
	return g
}

// await reads the console up to a line that begins so, and returns the rest.
func (g *blockGuest) await(t *testing.T, begin string) string {
	t.Helper()
	for {
		line, err := g.console.ReadString('\n')
		if err != nil {
			t.Fatalf("the guest ended: %v", err)
		}
		line = strings.TrimSpace(line)
		g.log = append(g.log, line)
		if _, rest, ok := strings.Cut(line, begin); ok {
			return rest
		}
		if strings.Contains(line, "ek-error") {
			t.Fatalf("the guest: %s", line)
		}
	}
}

// do has the guest work, and returns what its disk's own account grew by.
func (g *blockGuest) do(t *testing.T, line string) blockTruth {
	t.Helper()
	if _, err := io.WriteString(g.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(g.await(t, "ek-stat "), " | ")
	if !ok {
		t.Fatal("the guest's answer has one half")
	}
	return parseBlockStat(t, after).sub(parseBlockStat(t, before))
}
