package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLockedProcess is no test but the child: it locks its memory with or
// without the capability to, and shows what the kernel says.
func TestLockedProcess(t *testing.T) {
	how := os.Getenv("EVENKEEL_TEST_MEMLOCK")
	if how == "" {
		return
	}
	if how == "limited" {
		runtime.LockOSThread() // capabilities are a thread's
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			t.Fatal(err)
		}
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if err := unix.Capget(&head, &sets[0]); err != nil {
			t.Fatal(err)
		}
		sets[0].Effective &^= 1 << unix.CAP_IPC_LOCK
		if err := unix.Capset(&head, &sets[0]); err != nil {
			t.Fatal(err)
		}
	}
	said := "done"
	if err := lockMemory(); err != nil {
		said = err.Error()
	}
	grown := make([]byte, 16<<20)
	for i := 0; i < len(grown); i += 4096 {
		grown[i] = 1
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("locking: " + said + "\n" + string(text))
	runtime.KeepAlive(grown)
}

var lockedKB = regexp.MustCompile(`VmLck:\s+(\d+) kB`)

// Memory is locked where no limit holds, what is mapped later included; else
// nothing is, and it is said how to allow it.
func TestMemoryIsLocked(t *testing.T) {
	for how, says := range map[string]string{"free": "locking: done", "limited": "locking: at most 64 KiB may be locked; set LimitMEMLOCK=infinity"} {
		if how == "free" && !unlimited() {
			t.Log("this process may not lock its memory, so only the refusal is tested")
			continue
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockedProcess$")
		cmd.Env = append(os.Environ(), "EVENKEEL_TEST_MEMLOCK="+how)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", how, err, out)
		}
		locked := lockedKB.FindSubmatch(out)
		if !bytes.Contains(out, []byte(says)) || locked == nil || (len(locked[1]) > 4) != (how == "free") { // 16 MiB are 5 digits
			t.Errorf("%s: want %q, got\n%s", how, says, out)
		}
	}
}
