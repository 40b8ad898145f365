package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	diskBytes = 64 << 20
	ioBytes   = 4096
)

// disk is what the workload reads: a file on a disk of this machine, or a loop
// device on a file in memory. The loop device takes next to no time, but is a
// layer above others, and what watches such may have to look twice.
type disk struct {
	path string
	dir  string
	dev  *os.File // the loop device, else nil
	name string   // loop7
}

func newLoop() (*disk, error) {
	dir, err := os.MkdirTemp("/dev/shm", "evenkeel-bench-")
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir}
	if err := d.attach(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	d.path = "/dev/" + d.name
	return d, nil
}

// newFile is an error where the file system has no direct I/O.
func newFile(where string) (*disk, error) {
	dir, err := os.MkdirTemp(where, "evenkeel-bench-")
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir, path: filepath.Join(dir, "disk")}
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = errors.Join(fill(f), f.Sync(), f.Close())
	}
	if err == nil {
		f, err = os.OpenFile(d.path, os.O_RDONLY|unix.O_DIRECT, 0)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return d, f.Close()
}

// fill writes all of it: a hole is read without a request.
func fill(f *os.File) error {
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = 1
	}
	for range diskBytes / len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) attach() error {
	below, err := os.OpenFile(filepath.Join(d.dir, "disk"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer below.Close()
	if err := fill(below); err != nil {
		return err
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no loop devices here: %w", err)
	}
	defer control.Close()
	for range 16 { // somebody else may take the same one
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return fmt.Errorf("no loop device is free: %w", err)
		}
		d.name = fmt.Sprint("loop", n)
		if d.dev, err = os.OpenFile("/dev/"+d.name, os.O_RDWR, 0); err != nil {
			return err
		}
		err = unix.IoctlLoopConfigure(int(d.dev.Fd()), &unix.LoopConfig{Fd: uint32(below.Fd()), Size: ioBytes})
		if err == nil {
			return nil
		}
		d.dev.Close()
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("set up %s: %w", d.name, err)
		}
	}
	return errors.New("no loop device stayed free")
}

func (d *disk) close() error {
	var err error
	if d.dev != nil {
		err = errors.Join(unix.IoctlSetInt(int(d.dev.Fd()), unix.LOOP_CLR_FD, 0), d.dev.Close())
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// guest is a process that reads from the disk, one block at a time.
type guest struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

func startGuest(d *disk, cpu int) (*guest, error) {
	g := &guest{cmd: child("reader", cpu)}
	dev, err := os.OpenFile(d.path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	g.cmd.ExtraFiles = []*os.File{dev}
	if g.orders, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.answers = bufio.NewReader(out)
	return g, g.cmd.Start()
}

func (g *guest) stop() {
	_ = g.orders.Close()
	_ = g.cmd.Wait()
}

// play is one round: ns per read, and how many requests there were. Each read
// is one: it waits for the one before, so that nothing can merge.
func (g *guest) play(n int) (nsPerIO float64, ios uint64, err error) {
	if _, err := fmt.Fprintln(g.orders, n); err != nil {
		return 0, 0, fmt.Errorf("reader: %w", err)
	}
	line, err := g.answers.ReadString('\n')
	if err != nil {
		return 0, 0, fmt.Errorf("reader: %w", err)
	}
	var ns int64
	if _, err := fmt.Sscan(strings.TrimSpace(line), &ns); err != nil {
		return 0, 0, fmt.Errorf("reader said %q: %w", line, err)
	}
	return float64(ns) / float64(n), uint64(n), nil
}

// reader reads blocks here and there, without the page cache.
func reader(orders io.Reader, answers io.Writer) error {
	buf, err := unix.Mmap(-1, 0, ioBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
	if err != nil {
		return err
	}
	at := uint32(1)
	return serve(orders, answers, func(n int) error {
		for range n {
			at = at*1664525 + 1013904223 // Numerical Recipes' generator: any order will do
			if _, err := unix.Pread(3, buf, int64(at>>8%(diskBytes/ioBytes))*ioBytes); err != nil {
				return err
			}
		}
		return nil
	})
}
