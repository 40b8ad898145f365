//go:build linux

// Command block_guest is /init of a guest whose block I/O is known to the
// request. It loads the modules in /modules in the order of their names and then
// obeys its serial console: each line "DEVICE OP SIZE STRIDE COUNT THREADS"
// is done, and answered with the device's own /sys/block/DEVICE/stat from
// before and after. OP is read, write, or flush (a write and a flush of it).
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	err := run()
	// An init that returns panics the kernel. The error stays on the console.
	fmt.Printf("ek-error %v\n", err)
	for {
		time.Sleep(time.Hour)
	}
}

func run() error {
	for _, m := range []struct{ fstype, target string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m.fstype, m.target, m.fstype, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	console, err := os.OpenFile("/dev/ttyS0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	os.Stdout = console
	if err := quiet(console); err != nil {
		return err
	}
	if err := modules("/modules"); err != nil {
		return err
	}
	fmt.Println("ek-ready")
	for lines := bufio.NewScanner(console); lines.Scan(); {
		if err := obey(lines.Text()); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	return errors.New("the console ended")
}

// quiet keeps the console from echoing and from changing what is sent.
func quiet(console *os.File) error {
	t, err := unix.IoctlGetTermios(int(console.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO | unix.ISIG
	return unix.IoctlSetTermios(int(console.Fd()), unix.TCSETS, t)
}

func modules(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.Open(dir + "/" + e.Name())
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", e.Name(), err)
		}
	}
	return nil
}

type job struct {
	device, op    string
	size          int
	stride        int64
	count, thread int
}

func obey(line string) error {
	var j job
	if _, err := fmt.Sscan(line, &j.device, &j.op, &j.size, &j.stride, &j.count, &j.thread); err != nil {
		return err
	}
	fd, err := unix.Open("/dev/"+j.device, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	before, err := stat(j.device)
	if err != nil {
		return err
	}
	errs := make([]error, j.thread)
	var wg sync.WaitGroup
	for t := range j.thread {
		wg.Go(func() { errs[t] = j.part(fd, t) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	after, err := stat(j.device)
	if err != nil {
		return err
	}
	fmt.Printf("ek-stat %s | %s\n", before, after)
	return nil
}

func stat(device string) (string, error) {
	text, err := os.ReadFile("/sys/block/" + device + "/stat")
	return strings.TrimSpace(string(text)), err
}

func (j job) part(fd, thread int) error {
	buf, err := unix.Mmap(-1, 0, j.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(buf) }()
	for i := thread; i < j.count; i += j.thread {
		at, n := int64(i)*j.stride, 0
		switch j.op {
		case "read":
			n, err = unix.Pread(fd, buf, at)
		case "write", "flush":
			n, err = unix.Pwrite(fd, buf, at)
		default:
			return errors.New("unknown operation")
		}
		if err == nil && n != j.size {
			err = fmt.Errorf("ended after %d bytes", n)
		}
		if err == nil && j.op == "flush" {
			err = unix.Fdatasync(fd)
		}
		if err != nil {
			return fmt.Errorf("%s at %d: %w", j.op, at, err)
		}
	}
	return nil
}
