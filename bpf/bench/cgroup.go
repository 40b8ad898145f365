package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// blkCgroup is a new group that block I/O is charged to, of whichever version
// this machine has.
type blkCgroup struct {
	dir string
	id  uint64
}

// newBlkCgroup makes one for a process and puts it in.
func newBlkCgroup(pid int) (*blkCgroup, error) {
	root := "/sys/fs/cgroup/blkio"
	if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
		root = "/sys/fs/cgroup"
		control, err := os.ReadFile(root + "/cgroup.subtree_control")
		if err != nil {
			return nil, fmt.Errorf("neither blkio of cgroup v1 nor cgroup v2: %w", err)
		}
		if !strings.Contains(" "+string(control), " io") {
			if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+io"), 0); err != nil {
				return nil, err
			}
		}
	}
	g := &blkCgroup{dir: filepath.Join(root, fmt.Sprint("evenkeel-bench-", pid))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	info, err := os.Stat(g.dir)
	if err == nil {
		g.id = info.Sys().(*syscall.Stat_t).Ino
		err = os.WriteFile(g.dir+"/cgroup.procs", []byte(fmt.Sprint(pid)), 0)
	}
	if err != nil {
		return nil, errors.Join(err, g.remove())
	}
	return g, nil
}

// remove waits for the process to leave, which it does soon after its end.
func (g *blkCgroup) remove() (err error) {
	for range 1000 {
		if err = syscall.Rmdir(g.dir); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("remove %s: %w", g.dir, err)
}
