package agent

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
)

// A real QEMU, started as libvirt does, with two vCPUs and two iothreads: each
// has the role that its job gives it.
func TestRolesOfRealQEMU(t *testing.T) {
	const emulator = "qemu-system-x86_64"
	if _, err := exec.LookPath(emulator); err != nil {
		if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "qemu") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command(emulator, "-name", "guest=roles,debug-threads=on", "-S", "-machine", "pc", "-accel", "tcg,thread=multi",
		"-smp", "2", "-m", "32", "-nodefaults", "-no-user-config", "-display", "none",
		"-object", "iothread,id=iothread1", "-object", "iothread,id=iothread22",
		"-chardev", "null,id=m", "-mon", "chardev=m,mode=control")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("QEMU ended by itself")
		}
	}()
	pid := cmd.Process.Pid
	for {
		list, err := procfs.Host().Threads(pid)
		if err != nil {
			t.Fatal(err)
		}
		count := map[bpf.Role]int{}
		for _, th := range roles(pid, list, vcpuTIDs(list)) {
			count[th.Role]++
		}
		if count[bpf.RoleEmulator] == 1 && count[bpf.RoleVCPU] == 2 && count[bpf.RoleIO] == 2 && count[bpf.RoleWorker] > 0 && count[bpf.RoleVhost] == 0 {
			t.Logf("%+v", list)
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("QEMU ended with %v; its threads were %+v", err, list)
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond): // it has not made all its threads yet
		}
	}
}

// vcpuTIDs finds vCPU 0 and 1, which the hypervisor does for the agent.
func vcpuTIDs(list []procfs.Thread) []int {
	tids := []int{-1, -1}
	for _, th := range list {
		switch th.Comm {
		case "CPU 0/TCG":
			tids[0] = th.TID
		case "CPU 1/TCG":
			tids[1] = th.TID
		}
	}
	return tids
}
