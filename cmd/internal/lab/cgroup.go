package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups that belong to no host.
const (
	cgroupPrefix = "ekl-"
	switchName   = "switch" // holder of the bridge's network namespace
	execName     = "exec"   // commands run in hosts, which get every CPU
)

// cpuset is the machine's hierarchy that has the cpuset controller.
type cpuset struct {
	root    string // its mount point
	unified bool   // cgroup version 2
}

// findCpuset looks through the table of mounts.
func findCpuset(mountinfo string) (cpuset, error) {
	for line := range strings.Lines(mountinfo) {
		// ID PARENT DEV ROOT TARGET OPTIONS [TAGS...] - TYPE SOURCE SUPER
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 3 {
			continue
		}
		switch target := left[4]; right[0] {
		case "cgroup":
			if slices.Contains(strings.Split(right[2], ","), "cpuset") {
				return cpuset{root: target}, nil
			}
		case "cgroup2":
			controllers, err := os.ReadFile(filepath.Join(target, "cgroup.controllers"))
			if err == nil && slices.Contains(strings.Fields(string(controllers)), "cpuset") {
				return cpuset{root: target, unified: true}, nil
			}
		}
	}
	return cpuset{}, errors.New("no cgroup hierarchy with the cpuset controller is mounted; mount one: mount -t cgroup -o cpuset cpuset /sys/fs/cgroup/cpuset, or cgroup2 with cpuset in its cgroup.controllers")
}

// cpus are those that the hierarchy's root may use.
func (c cpuset) cpus() ([]int, error) {
	// cpuset.cpus.effective exists in version 2 below the root only.
	for _, name := range []string{"cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"} {
		if data, err := os.ReadFile(filepath.Join(c.root, name)); err == nil {
			return parseCPUList(string(data))
		}
	}
	data, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	return parseCPUList(string(data))
}

// cgroup is one directory of the cpuset hierarchy.
type cgroup struct {
	set  cpuset
	path string // absolute
}

func (c cpuset) lab(name string) cgroup {
	return cgroup{set: c, path: filepath.Join(c.root, cgroupPrefix+name)}
}

func (g cgroup) child(name string) cgroup {
	return cgroup{set: g.set, path: filepath.Join(g.path, name)}
}

func (g cgroup) procsFile() string { return filepath.Join(g.path, "cgroup.procs") }

func (g cgroup) write(file, value string) error {
	if err := os.WriteFile(filepath.Join(g.path, file), []byte(value), 0); err != nil {
		return fmt.Errorf("cgroup: write %q: %w", value, err)
	}
	return nil
}

// create makes the cgroup and gives it CPUs.
func (g cgroup) create(cpus string) error {
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if g.set.unified {
		return g.write("cpuset.cpus", cpus)
	}
	// In version 1 a new cpuset has neither CPUs nor memory nodes, and takes
	// no process before it has both.
	mems, err := os.ReadFile(filepath.Join(filepath.Dir(g.path), "cpuset.mems"))
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := g.write("cpuset.mems", strings.TrimSpace(string(mems))); err != nil {
		return err
	}
	return g.write("cpuset.cpus", cpus)
}

// delegate lets the children of this cgroup (or of the root) have cpusets. It
// says whether it had to change anything, to be undone by down.
func delegate(dir string) (changed bool, err error) {
	file := filepath.Join(dir, "cgroup.subtree_control")
	data, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("cgroup: %w", err)
	}
	if slices.Contains(strings.Fields(string(data)), "cpuset") {
		return false, nil
	}
	if err := os.WriteFile(file, []byte("+cpuset"), 0); err != nil {
		return false, fmt.Errorf("cgroup: enable the cpuset controller: %w", err)
	}
	return true, nil
}

// processes lists the processes of the cgroup and of all below it.
func (g cgroup) processes() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for field := range strings.FieldsSeq(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("cgroup: %s: %w", path, err)
			}
			pids = append(pids, pid)
		}
		return nil
	})
	// A cgroup that vanishes while it is read has no processes.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		err = nil
	}
	return pids, err
}

// destroy ends every process in the cgroup and below, and removes it. It goes
// on until both are done: some processes may be forking, or joining.
func (g cgroup) destroy(ctx context.Context) error {
	var left []int
	err := poll(ctx, 10*time.Millisecond, "the processes in cgroup "+g.path+" to end", func() (bool, error) {
		var err error
		if left, err = g.processes(); err != nil {
			return false, err
		}
		if len(left) > 0 {
			return false, g.killOnce(left)
		}
		// A killed process leaves its cgroup a moment after it is gone from
		// cgroup.procs: busy is not yet an error.
		err = g.remove()
		if errors.Is(err, unix.EBUSY) {
			return false, nil
		}
		return true, err
	})
	if err != nil && len(left) > 0 {
		return fmt.Errorf("%w; left are %v", err, left)
	}
	return err
}

// killOnce kills those of the pids that are still in the cgroup once they are
// held by a descriptor, so a reused number never hits a stranger.
func (g cgroup) killOnce(pids []int) error {
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone
		}
		now, err := g.processes()
		if err == nil && slices.Contains(now, pid) {
			err = unix.PidfdSendSignal(fd, syscall.SIGKILL, nil, 0)
		}
		_ = unix.Close(fd)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return nil
}

// remove deletes the cgroup with all below it, deepest first.
func (g cgroup) remove() error {
	var dirs []string
	err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cgroup: %w", err)
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
	return nil
}
