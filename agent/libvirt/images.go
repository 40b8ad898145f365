package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	golibvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var _ agent.Images = (*Images)(nil)

// Images makes and deletes images of disks in the storage pools of a host's
// libvirt that are directories. Its methods may be called concurrently.
type Images struct{ host *Host }

// NewImages makes the images of a host.
func NewImages(h *Host) *Images { return &Images{h} }

// Make makes an empty image, in the pool whose directory it lies in.
func (i *Images) Make(ctx context.Context, file, format string, size cluster.Bytes) error {
	if !slices.Contains(cluster.DiskFormats, format) || size <= 0 || !path.IsAbs(file) || path.Clean(file) != file {
		return fmt.Errorf("make image %.200q: format %.20q, %d bytes", file, format, size)
	}
	volume := libvirtxml.StorageVolume{
		Name:       path.Base(file),
		Capacity:   &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: uint64(size)},
		Allocation: &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: 0},
		Target:     &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: format}},
	}
	text, err := volume.Marshal()
	if err != nil {
		return err
	}
	return i.host.storage(ctx, "make image "+file, func(lv *golibvirt.Libvirt) error {
		pool, err := lv.StoragePoolLookupByTargetPath(path.Dir(file))
		if err != nil {
			return err
		}
		made, err := lv.StorageVolCreateXML(pool, text, 0)
		if err != nil {
			return err
		}
		if made.Key != file {
			return fmt.Errorf("libvirt has made %.200q instead", made.Key)
		}
		return nil
	})
}

// Delete deletes an image. A pool that does not know it yet looks anew first.
func (i *Images) Delete(ctx context.Context, file string) error {
	return i.host.storage(ctx, "delete image "+file, func(lv *golibvirt.Libvirt) error {
		vol, err := lv.StorageVolLookupByPath(file)
		if refusedOf(err) {
			pool, lookErr := lv.StoragePoolLookupByTargetPath(path.Dir(file))
			if lookErr != nil {
				return lookErr
			}
			if err := lv.StoragePoolRefresh(pool, 0); err != nil {
				return err
			}
			vol, err = lv.StorageVolLookupByPath(file)
		}
		if err != nil {
			return err
		}
		return lv.StorageVolDelete(vol, golibvirt.StorageVolDeleteNormal)
	})
}

// Identify tells which file has a path now; links are not followed.
func (i *Images) Identify(file string) (agent.FileID, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return agent.FileID{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return agent.FileID{}, fmt.Errorf("%s is no file, but %v", file, info.Mode().Type())
	}
	return agent.FileID{Device: st.Dev, Inode: st.Ino}, nil
}

// storageURI is what the modular storage daemon is asked for.
const storageURI = golibvirt.ConnectURI("storage:///system")

// storage runs a call of storage pools: on the daemon itself, or, if it is the
// modular QEMU daemon, on the storage daemon beside it.
func (h *Host) storage(ctx context.Context, what string, fn func(*golibvirt.Libvirt) error) error {
	dir, name := filepath.Split(h.dialer.socket())
	if name != "virtqemud-sock" {
		return h.call(ctx, what, fn)
	}
	ctx, end, err := h.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	c, err := dialConn(ctx, filepath.Join(dir, "virtstoraged-sock"), storageURI)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer c.close()
	if err := c.do(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}

// maxPools bounds the storage pools that are looked at.
const maxPools = 256

// Rooms lists the directories of the active storage pools that are directories,
// and what is free there at this moment. A daemon without storage pools has none.
func (s *Survey) Rooms(ctx context.Context) ([]cluster.Room, error) {
	var rooms []cluster.Room
	err := s.host.storage(ctx, "list storage pools", func(lv *golibvirt.Libvirt) error {
		pools, _, err := lv.ConnectListAllStoragePools(1, golibvirt.ConnectListStoragePoolsActive|golibvirt.ConnectListStoragePoolsDir|golibvirt.ConnectListStoragePoolsFs)
		if err != nil {
			return err
		}
		for _, p := range pools[:min(len(pools), maxPools)] {
			text, err := lv.StoragePoolGetXMLDesc(p, 0)
			if refusedOf(err) {
				continue // it has just gone
			}
			if err != nil {
				return err
			}
			_, _, _, available, err := lv.StoragePoolGetInfo(p)
			if err != nil && !refusedOf(err) {
				return err
			}
			if r, ok := roomOf(text, available); ok {
				rooms = append(rooms, r)
			}
		}
		return nil
	})
	if hasAnswer(err) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no storage driver here
	}
	slices.SortFunc(rooms, func(a, b cluster.Room) int { return strings.Compare(a.Dir, b.Dir) })
	return slices.CompactFunc(rooms, func(a, b cluster.Room) bool { return a.Dir == b.Dir }), err
}

// roomOf reads a pool's place. What libvirt says is free there is of when it
// looked last; the file system is asked, unless it is hidden from evenkeeld.
func roomOf(text string, available uint64) (cluster.Room, bool) {
	var p libvirtxml.StoragePool
	if len(text) > maxXML || p.Unmarshal(text) != nil || p.Target == nil || !path.IsAbs(p.Target.Path) {
		return cluster.Room{}, false
	}
	dir := path.Clean(p.Target.Path)
	if word(dir) != dir {
		return cluster.Room{}, false
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err == nil && st.Bsize > 0 {
		available = st.Bavail * uint64(st.Bsize)
	}
	return cluster.Room{Dir: dir, Free: cluster.Bytes(min(available, maxJobBytes))}, true
}
