package voters

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// doomedDir tells the process that is to be killed where its site is.
const doomedDir = "EVENKEEL_VOTERS_DOOMED"

// TestDoomedProcess is no test: TestNothingIsLeftOfAKilledTest runs it.
func TestDoomedProcess(t *testing.T) {
	dir := os.Getenv(doomedDir)
	if dir == "" {
		return
	}
	s, err := New(dir, os.Getenv("EVENKEEL_VOTERS_BIN"), Ext4)
	if err == nil {
		err = errors.Join(s.Start(), s.Members[0].Freeze())
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("doomed %d %d\n", s.warden.cmd.Process.Pid, s.Members[0].cmd.Process.Pid)
	time.Sleep(time.Minute)
}

// A test is killed while a disk is frozen and a process waits for it: the
// processes end, the file system is unmounted and the loop device is free.
func TestNothingIsLeftOfAKilledTest(t *testing.T) {
	t.Parallel()
	bin, dir := machine(t), t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDoomedProcess$")
	cmd.Env = append(os.Environ(), doomedDir+"="+dir, "EVENKEEL_VOTERS_BIN="+bin)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); pids == nil && lines.Scan(); {
		var warden, daemon int
		if n, _ := fmt.Sscanf(lines.Text(), "doomed %d %d", &warden, &daemon); n == 2 {
			pids = []int{warden, daemon}
		}
	}
	if len(backed(t, dir)) != 1 {
		t.Errorf("loop devices of the site: %v, want one", backed(t, dir))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if pids == nil {
		t.Fatal("the process did not make its site")
	}
	var left string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		left = ""
		for _, pid := range pids {
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				left += fmt.Sprint(" process ", pid)
			}
		}
		if left += strings.Join(backed(t, dir), " "); left == "" {
			return
		}
	}
	t.Error("left: ", left)
}

// backed are the loop devices whose files lie below a folder.
func backed(t *testing.T, dir string) (out []string) {
	t.Helper()
	found, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		text, err := os.ReadFile(f)
		if err == nil && strings.HasPrefix(string(text), dir) {
			out = append(out, f)
		}
	}
	return out
}
