package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/chain"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/diskrun"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/load"
)

// Disk is a guest's one virtio disk: a raw image in the lab's state directory,
// which every host sees under the same path. To evenkeel and libvirt it is its
// host's own, unless it is served or shared.
type Disk struct {
	// Served has every host reach the image over the lab's network, by NBD: QEMU
	// has no lock for it.
	Served bool `yaml:"served" json:"served,omitempty"`
	// Shared puts the image on a file system that all hosts mount: QEMU locks it
	// against a second one on another host.
	Shared bool `yaml:"shared" json:"shared,omitempty"`
	// Own has the image in a directory that each host has for itself: the others
	// do not see it, and a move has to copy it.
	Own  bool  `yaml:"own" json:"own,omitempty"`
	Size Bytes `yaml:"size" json:"size"`
	// AIO is how QEMU does its I/O: threads, native or io_uring.
	AIO string `yaml:"aio" json:"aio"`
	// Cache is libvirt's cache mode: none and directsync pass the host's page
	// cache by, writeback and writethrough do not.
	Cache string `yaml:"cache" json:"cache"`
	// Load is what the guest's init does to it ([load.Disk]), such as
	// read:4096x200,write:16384x100@45s. Empty: nothing.
	Load string `yaml:"load" json:"load,omitempty"`
}

// Bounds of a disk. It is written whole when it is made.
const (
	defaultDiskSize = Bytes(64 << 20)
	minDiskSize     = Bytes(1 << 20)
	maxDiskSize     = Bytes(16 << 30)
)

var (
	diskAIOs   = []string{"threads", "native", "io_uring"}
	diskCaches = []string{"none", "directsync", "writeback", "writethrough"}
)

func (d *Disk) fillDefaults() {
	if d.Size == 0 {
		d.Size = defaultDiskSize
	}
	if d.AIO == "" {
		d.AIO = diskAIOs[0]
	}
	if d.Cache == "" {
		d.Cache = diskCaches[0]
	}
}

func (d Disk) check() error {
	switch {
	case d.Size < minDiskSize || d.Size > maxDiskSize || d.Size%4096 != 0:
		return fmt.Errorf("disk: size %v must lie between %v and %v, in whole 4KiB", d.Size, minDiskSize, maxDiskSize)
	case !slices.Contains(diskAIOs, d.AIO):
		return fmt.Errorf("disk: aio %q must be one of %s", d.AIO, strings.Join(diskAIOs, ", "))
	case !slices.Contains(diskCaches, d.Cache):
		return fmt.Errorf("disk: cache %q must be one of %s", d.Cache, strings.Join(diskCaches, ", "))
	case (d.Served || d.Shared) && d.Own:
		return errors.New("disk: it is either on all hosts (served, shared) or its host's own: choose one")
	case d.Served && d.Shared:
		return errors.New("disk: served and shared are two ways to have it on all hosts: choose one")
	case d.Served && d.AIO != diskAIOs[0]:
		return fmt.Errorf("disk: aio %q is for files, and this disk is served over the network", d.AIO)
	case d.AIO == "native" && d.Cache != "none" && d.Cache != "directsync":
		return fmt.Errorf("disk: aio native needs cache none or directsync, not %s", d.Cache)
	}
	if _, err := load.ParseDisk(d.Load); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return nil
}

// noDrivers says that a guest could not see its disk.
func noDrivers(guest string) error {
	return fmt.Errorf("guest %s has a disk, but a kernel that is given with --kernel comes without drivers; leave --kernel out", guest)
}

// ImageDir is where a host has its own images, in the host.
const ImageDir = "/var/lib/libvirt/images"

// imagePath is a guest's image, as the hosts see it.
func (l *Lab) imagePath(g GuestState) string {
	switch {
	case g.Disk.Own:
		return filepath.Join(ImageDir, g.Name+".raw")
	case g.Disk.Shared:
		return filepath.Join(volumePoint, g.Name+".raw")
	}
	return filepath.Join(l.guestDir(g.Name), "disk.raw")
}

// diskFile is a guest's image on a host, as the machine sees it. A shared one
// is reached through the host's file system: its server knows only what came that
// way.
func (l *Lab) diskFile(g GuestState, host string) (string, error) {
	if !g.Disk.Own && !g.Disk.Shared {
		return l.imagePath(g), nil
	}
	return l.HostPath(host, l.imagePath(g))
}

// makeDisk writes a guest's image: written, not only allocated, for the file
// system's own threads convert an unwritten extent, in the midst of what the
// guest does.
func (l *Lab) makeDisk(g GuestState) (err error) {
	if g.Disk == nil {
		return nil
	}
	path, err := l.diskFile(g, g.On)
	if err != nil {
		return err
	}
	if g.Disk.Own { // the others lie where the lab made a directory
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := bytes.Repeat([]byte{1}, 1<<20)
	for left := int64(g.Disk.Size); left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// removeShared deletes an image that does not lie with the guest's own files.
func (l *Lab) removeShared(g GuestState) error {
	if g.Disk == nil || !g.Disk.Shared {
		return nil
	}
	path, err := l.HostPath(g.On, l.imagePath(g))
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// disks describes a guest's disk to libvirt.
func (l *Lab) disks(g GuestState) []libvirtxml.DomainDisk {
	if g.Disk == nil {
		return nil
	}
	if g.Disk.Served {
		return []libvirtxml.DomainDisk{{
			Device: "disk",
			Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw", Cache: g.Disk.Cache},
			Source: &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
				Protocol: "nbd", Name: diskExport,
				Hosts: []libvirtxml.DomainDiskSourceHost{{Name: switchAddress, Port: strconv.Itoa(g.DiskPort)}},
			}},
			Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
		}}
	}
	return []libvirtxml.DomainDisk{{
		Device: "disk",
		Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw", Cache: g.Disk.Cache, IO: g.Disk.AIO},
		Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: l.imagePath(g)}},
		Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
	}}
}

// diskArgument tells the guest's init of its disk.
func diskArgument(g GuestState) (string, error) {
	if g.Disk == nil || g.Disk.Load == "" {
		return "", nil
	}
	d, err := load.ParseDisk(g.Disk.Load)
	if err != nil {
		return "", err
	}
	return " ek.disk=" + d.String(), nil
}

// DiskRuns are what a guest's own kernel counted of its disk in each run of its
// load so far.
func (l *Lab) DiskRuns(guest string) ([]diskrun.Run, error) {
	return diskrun.ReadFile(l.SerialLog(guest))
}

// DiskChain is the newest record of the chain that a guest's disk load writes
// (package chain). An error says that the chain is broken, or that the guest
// has stopped writing because it found it so.
func (l *Lab) DiskChain(guest string) (chain.Record, error) {
	g, err := l.Guest(guest)
	if err != nil {
		return chain.Record{}, err
	}
	text, err := os.ReadFile(l.SerialLog(guest))
	if err != nil {
		return chain.Record{}, err
	}
	if i := bytes.Index(text, []byte("ek-init: ")); i >= 0 {
		return chain.Record{}, fmt.Errorf("guest %s: %.300s", guest, text[i:])
	}
	on := l.GuestHosts(guest)
	if g.Disk.Own && len(on) != 1 {
		return chain.Record{}, fmt.Errorf("guest %s runs on %v: which disk is its own is not known", guest, on)
	}
	on = append(on, g.On)
	path, err := l.diskFile(g, on[0])
	if g.Disk.Shared { // as its server has it: a host's own view may be older
		path, err = filepath.Join(l.brick(), g.Name+".raw"), nil
	}
	if err != nil {
		return chain.Record{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return chain.Record{}, err
	}
	defer f.Close()
	d, err := load.ParseDisk(g.Disk.Load)
	if err != nil {
		return chain.Record{}, err
	}
	return chain.Verify(f, int64(g.Disk.Size), d.Jobs[0].RequestBytes)
}
