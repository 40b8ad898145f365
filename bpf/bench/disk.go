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

// disk is a loop device on a file in memory: real requests through the whole
// block layer, with a device behind that takes next to no time.
type disk struct {
	dev  *os.File
	name string
	dir  string
}

func newDisk() (*disk, error) {
	dir, err := os.MkdirTemp("/dev/shm", "evenkeel-bench-")
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir}
	if err := d.attach(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return d, nil
}

func (d *disk) attach() error {
	below, err := os.OpenFile(filepath.Join(d.dir, "disk"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer below.Close()
	block := make([]byte, 1<<20)
	for range diskBytes / len(block) {
		if _, err := below.Write(block); err != nil {
			return err
		}
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
	err := unix.IoctlSetInt(int(d.dev.Fd()), unix.LOOP_CLR_FD, 0)
	return errors.Join(err, d.dev.Close(), os.RemoveAll(d.dir))
}

// reads is the device's own count of completed reads.
func (d *disk) reads() (n uint64, err error) {
	text, err := os.ReadFile("/sys/block/" + d.name + "/stat")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(text), &n)
	return n, err
}

// guest is a process that reads from the disk, one block at a time.
type guest struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
	disk    *disk
}

func startGuest(d *disk, cpu int) (*guest, error) {
	g := &guest{cmd: child("reader", cpu), disk: d}
	dev, err := os.OpenFile("/dev/"+d.name, os.O_RDONLY|unix.O_DIRECT, 0)
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

// play is one round: ns per read, and how many the device completed.
func (g *guest) play(n int) (nsPerIO float64, ios uint64, err error) {
	before, err := g.disk.reads()
	if err != nil {
		return 0, 0, err
	}
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
	after, err := g.disk.reads()
	return float64(ns) / float64(n), after - before, err
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
