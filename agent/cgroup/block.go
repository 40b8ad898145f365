package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// errRemoved is what reading a file of a removed group answers.
const errRemoved = syscall.ENODEV

// BlockGroup is the group that a process's block I/O is charged to.
type BlockGroup struct {
	Path string
	ID   uint64 // the kernel's id of the group: the inode of its directory
	Own  bool   // it is the VM's alone; else others' I/O is charged to it too
}

// Block finds it for the VM whose QEMU process is pid. On v2 that is the
// nearest group up for which the io controller is enabled.
func (r Reader) Block(pid int) (BlockGroup, error) {
	g, err := r.proc.Group(pid, "blkio")
	if err != nil {
		return BlockGroup{}, err
	}
	if g.V2 {
		if g, err = r.charged(g); err != nil {
			return BlockGroup{}, err
		}
	}
	info, err := fs.Stat(r.proc.FS(), g.Dir())
	if err != nil {
		return BlockGroup{}, fmt.Errorf("group /%s: %w", g.Dir(), err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return BlockGroup{}, fmt.Errorf("group /%s: the tree tells no inodes", g.Dir())
	}
	_, own := owner(g)
	return BlockGroup{g.Path, stat.Ino, own}, nil
}

// charged goes up to the group with io.stat, which only groups have that the
// controller is enabled for; the root always counts.
func (r Reader) charged(g procfs.Group) (procfs.Group, error) {
	for {
		_, err := fs.Stat(r.proc.FS(), g.Dir()+"/io.stat")
		if err == nil {
			return g, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return g, fmt.Errorf("group /%s: %w", g.Dir(), err)
		}
		up, more := g.Parent()
		if !more {
			return g, nil
		}
		g = up
	}
}
