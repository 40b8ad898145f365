package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A child process that does block I/O: the test binary runs itself with this in
// its environment. It reads one job a line and answers with the number of
// operations that failed.
const blockWorkerEnv = "EVENKEEL_TEST_BLOCK"

func init() {
	if os.Getenv(blockWorkerEnv) != "" {
		if err := blockWorker(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "block worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// blockJob is so many operations of a size, stride bytes apart, each by one of
// some threads.
type blockJob struct {
	op      string // read, write, sync-write, flush, discard
	path    string
	from    int64
	size    int
	stride  int64
	count   int
	threads int
}

func (j blockJob) String() string {
	return fmt.Sprintln(j.op, j.path, j.from, j.size, j.stride, j.count, j.threads)
}

func blockWorker(in io.Reader, out io.Writer) error {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var j blockJob
		if _, err := fmt.Sscan(lines.Text(), &j.op, &j.path, &j.from, &j.size, &j.stride, &j.count, &j.threads); err != nil {
			return err
		}
		failed, err := j.run()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, failed)
	}
	return nil
}

func (j blockJob) run() (failed int, err error) {
	flags := map[string]int{"read": unix.O_RDONLY, "sync-write": unix.O_RDWR | unix.O_DSYNC}[j.op]
	if j.op != "read" && j.op != "sync-write" {
		flags = unix.O_RDWR
	}
	fd, err := unix.Open(j.path, flags|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for thread := range j.threads {
		wg.Go(func() {
			bad, doErr := j.part(fd, thread)
			mu.Lock()
			defer mu.Unlock()
			failed, err = failed+bad, errors.Join(err, doErr)
		})
	}
	wg.Wait()
	return failed, err
}

// part is one thread's share.
func (j blockJob) part(fd, thread int) (failed int, err error) {
	buf, err := unix.Mmap(-1, 0, max(j.size, 4096), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Munmap(buf) }()
	for i := thread; i < j.count; i += j.threads {
		err := j.one(fd, buf[:j.size], j.from+int64(i)*j.stride)
		if errors.Is(err, unix.EIO) {
			failed++
		} else if err != nil {
			return failed, err
		}
	}
	return failed, nil
}

func (j blockJob) one(fd int, buf []byte, at int64) (err error) {
	n := len(buf)
	switch j.op {
	case "read":
		n, err = unix.Pread(fd, buf, at)
	case "write", "sync-write":
		n, err = unix.Pwrite(fd, buf, at)
	case "flush":
		err = unix.Fdatasync(fd)
	case "discard":
		span := [2]uint64{uint64(at), uint64(j.size)}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKDISCARD, uintptr(unsafe.Pointer(&span))); errno != 0 {
			err = errno
		}
	}
	if err == nil && n != len(buf) {
		err = fmt.Errorf("%s of %d bytes at %d ended after %d", j.op, len(buf), at, n)
	}
	return err
}

// blockChild is such a child.
type blockChild struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startBlockChild starts a child, in a cgroup if one is given.
func startBlockChild(t *testing.T, cgroup *os.File) *blockChild {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), blockWorkerEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &blockChild{cmd, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("block worker: %v", err)
		}
	})
	if cgroup != nil {
		procs := cgroup.Name() + "/cgroup.procs"
		if err := os.WriteFile(procs, fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// do has the job done, and returns how many operations failed.
func (c *blockChild) do(t *testing.T, j blockJob) (failed int) {
	t.Helper()
	c.begin(t, j)
	return c.end(t)
}

func (c *blockChild) begin(t *testing.T, j blockJob) {
	t.Helper()
	if _, err := io.WriteString(c.in, j.String()); err != nil {
		t.Fatal(err)
	}
}

func (c *blockChild) end(t *testing.T) (failed int) {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("block worker: %v", err)
	}
	if _, err := fmt.Sscan(strings.TrimSpace(line), &failed); err != nil {
		t.Fatal(err)
	}
	return failed
}

func (c *blockChild) pid() int { return c.cmd.Process.Pid }
