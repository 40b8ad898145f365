package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a child process does: the test binary runs itself with one of these in
// EVENKEEL_TEST_WORKER.
const (
	workBurn = "burn" // its thread runs for 3 ms and sleeps for EVENKEEL_TEST_SLEEP, by turns
	workPair = "pair" // a thread on CPU 0 and one on CPU 1 run all the time
	workPong = "pong" // two threads wake each other through pipes
	workRun  = "runs" // new threads are born, run for a while and end
)

func TestMain(m *testing.M) {
	if work := os.Getenv("EVENKEEL_TEST_WORKER"); work != "" {
		worker(work)
		return
	}
	os.Exit(m.Run())
}

// worker is a child process. It prints the ids of its busy threads, works when
// it has read a byte, and ends when its stdin closes.
func worker(work string) {
	sleep, _ := time.ParseDuration(os.Getenv("EVENKEEL_TEST_SLEEP"))
	switch work {
	case workBurn:
		go onThread(func() { burn(3*time.Millisecond, sleep) })
	case workPair:
		for cpu := range 2 {
			go onThread(func() { pin(cpu); burn(3*time.Millisecond, 0) })
		}
	case workPong:
		a, b := pipe(), pipe()
		go onThread(func() { pong(a[0], b[1]) })
		go onThread(func() { pong(b[0], a[1]) })
		_, _ = unix.Write(a[1], []byte{1})
	case workRun:
		go onThread(func() {
			for {
				go func() { // ends with its thread, for want of an unlock
					runtime.LockOSThread()
					spin(2 * time.Millisecond)
				}()
				time.Sleep(time.Millisecond)
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// onThread runs do on a thread of its own and tells its id.
func onThread(do func()) {
	runtime.LockOSThread()
	fmt.Println(unix.Gettid())
	do()
}

func pin(cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		os.Exit(1)
	}
}

func burn(busy, sleep time.Duration) {
	for {
		spin(busy)
		if sleep > 0 {
			time.Sleep(sleep)
		}
	}
}

func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// pong runs for a while whenever the other one has written.
func pong(in, out int) {
	buf := make([]byte, 1)
	for {
		if _, err := unix.Read(in, buf); err != nil && !errors.Is(err, unix.EINTR) {
			os.Exit(1)
		}
		spin(20 * time.Microsecond)
		if _, err := unix.Write(out, buf); err != nil {
			os.Exit(1)
		}
	}
}

func pipe() (fds [2]int) {
	if err := unix.Pipe(fds[:]); err != nil {
		os.Exit(1)
	}
	return fds
}

// burner is such a child; tid is its first busy thread.
type burner struct {
	cmd   *exec.Cmd
	stdin io.Closer
	tid   int
	tids  []int
}

// startBurner pins its child to CPU 0.
func startBurner(t *testing.T, sleep time.Duration) *burner {
	t.Helper()
	return startWorker(t, workBurn, sleep, 0)
}

func startWorker(t *testing.T, work string, sleep time.Duration, cpus ...int) *burner {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EVENKEEL_TEST_WORKER="+work, "EVENKEEL_TEST_SLEEP="+sleep.String(), "GOMAXPROCS=4")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := startOn(cmd, cpus); err != nil {
		t.Fatal(err)
	}
	b := &burner{cmd: cmd, stdin: stdin}
	t.Cleanup(b.stop)
	lines := bufio.NewReader(stdout)
	for range map[string]int{workBurn: 1, workPair: 2, workPong: 2, workRun: 1}[work] {
		line, err := lines.ReadString('\n')
		tid, convErr := strconv.Atoi(strings.TrimSpace(line))
		if err := errors.Join(err, convErr); err != nil {
			t.Fatal(err)
		}
		b.tids = append(b.tids, tid)
	}
	b.tid = b.tids[0]
	return b
}

// startOn starts a command on some CPUs: a child inherits them from the thread
// that starts it, all its threads from the first.
func startOn(cmd *exec.Cmd, cpus []int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	return errors.Join(cmd.Start(), unix.SchedSetaffinity(0, &before))
}

func (b *burner) stop() {
	_ = b.stdin.Close()
	b.thaw() // a stopped process does not see its stdin close
	_ = b.cmd.Wait()
}

// freeze stops the process and waits until all its threads are off the CPUs,
// so that the kernel's figures and ours can be read at the same standstill.
func (b *burner) freeze(t *testing.T) {
	t.Helper()
	b.halt(t)
	for range 5000 {
		if b.stopped(t) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the process did not stop")
}

// halt tells the process to stop and does not wait.
func (b *burner) halt(t *testing.T) {
	t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func (b *burner) stopped(t *testing.T) bool {
	t.Helper()
	for _, th := range threadsOf(b.cmd.Process.Pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", b.cmd.Process.Pid, th.TID))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended since it was listed
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(text), ") ")
		if !ok || !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return true
}

func (b *burner) thaw() { _ = b.cmd.Process.Signal(syscall.SIGCONT) }
