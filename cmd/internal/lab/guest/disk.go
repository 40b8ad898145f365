//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/chain"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/diskrun"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/load"
)

// The guest's only disk.
const (
	diskPath = "/dev/vda"
	diskStat = "/sys/block/vda/stat"
)

// modulesDir holds the drivers of virtio disks, named so that they sort in the
// order in which they need each other.
const modulesDir = "/modules"

func loadModules() error {
	entries, err := os.ReadDir(modulesDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.Open(modulesDir + "/" + e.Name())
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", e.Name(), err)
		}
	}
	return nil
}

// disk does the disk's load for as long as the guest lives.
type disk struct {
	load load.Disk
	file *os.File
	size int64
	buf  []byte // aligned, as direct I/O wants it
	last chain.Record
}

func openDisk(l load.Disk) (*disk, error) {
	if err := loadModules(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(diskPath, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	buf, err := unix.Mmap(-1, 0, load.MaxDiskRequest, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for requests: %w", err)
	}
	return &disk{load: l, file: f, size: size, buf: buf}, nil
}

// work repeats the runs and tells of each; it ends with the first error.
func (d *disk) work(tell func(diskrun.Run) error) error {
	for n := uint64(1); ; n++ {
		due := (uptime()/d.load.Every + 1) * d.load.Every
		time.Sleep(due - uptime())
		run, err := d.run(n)
		if err != nil {
			return fmt.Errorf("disk run %d: %w", n, err)
		}
		if err := tell(run); err != nil {
			return err
		}
	}
}

func (d *disk) run(n uint64) (diskrun.Run, error) {
	began := uptime()
	before, err := account()
	if err != nil {
		return diskrun.Run{}, err
	}
	for _, j := range d.load.Jobs {
		for i := range j.Count {
			if err := d.request(j, i); err != nil {
				return diskrun.Run{}, fmt.Errorf("%s %d of %d: %w", j.Op, i+1, j.Count, err)
			}
		}
	}
	after, err := account()
	if err != nil {
		return diskrun.Run{}, err
	}
	return diskrun.Run{N: n, Began: began, Ended: uptime(), Did: after.Sub(before)}, nil
}

func (d *disk) request(j load.DiskJob, i int) (err error) {
	at, buf := j.Offset(i, d.size), d.buf[:j.RequestBytes]
	switch j.Op {
	case "read":
		_, err = d.file.ReadAt(buf, at)
		return err
	case "chain":
		return d.link(buf)
	}
	if _, err = d.file.WriteAt(buf, at); err == nil && j.Op == "flush" {
		err = unix.Fdatasync(int(d.file.Fd()))
	}
	return err
}

// link reads the record that was written last, and writes the next.
func (d *disk) link(block []byte) error {
	if d.last.N > 0 {
		if err := chain.Follow(d.file, d.size, block, d.last); err != nil {
			return err
		}
	}
	var nonce [8]byte
	if _, err := unix.Getrandom(nonce[:], 0); err != nil {
		return err
	}
	next := d.last.Next(nonce)
	next.Put(block)
	if _, err := d.file.WriteAt(block, next.Offset(d.size, len(block))); err != nil {
		return err
	}
	d.last = next
	return unix.Fdatasync(int(d.file.Fd()))
}

func account() (diskrun.Account, error) {
	text, err := os.ReadFile(diskStat)
	if err != nil {
		return diskrun.Account{}, err
	}
	return diskrun.ParseStat(string(text))
}
