package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// GuestCPUs tells which online CPUs the host's VMs may run on, and from which
// file that is known. VMs live in machine.slice where systemd runs, in
// /machine where libvirt makes its own cgroups, and else in the cpuset of the
// libvirt daemon (daemonPID; 0 if not known), which its QEMU processes
// inherit. With no such limit all online CPUs count. The caller's own
// affinity never matters. Works with cgroup v1 and v2.
func (r Reader) GuestCPUs(daemonPID int) (CPUs, string, error) {
	online, err := r.OnlineCPUs()
	if err != nil {
		return nil, "", err
	}
	mount, err := r.cpusetMount()
	if errors.Is(err, errNoCpuset) {
		return online, "/" + sysCPU + "online", nil
	}
	if err != nil {
		return nil, "", err
	}
	for _, group := range []string{"/machine.slice", "/machine", ""} {
		if group == "" { // the last resort is read only if it is needed
			if daemonPID <= 0 {
				break
			}
			if group, err = r.cpusetGroup(daemonPID, mount); err != nil {
				return nil, "", err
			}
		}
		cpus, from, err := r.effectiveCPUs(mount, group)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if cpus = cpus.And(online); len(cpus) == 0 {
			return nil, "", malformed(from, "allows no online CPU ("+online.String()+")")
		}
		return cpus, "/" + from, nil
	}
	return online, "/" + sysCPU + "online", nil
}

var errNoCpuset = errors.New("no cpuset controller is mounted")

// cgroupMount is where a cgroup hierarchy is mounted.
type cgroupMount struct {
	dir  string // relative to the tree's root
	root string // the cgroup that is mounted there, "/" but in containers
	v2   bool
}

// cpusetMount finds the cpuset controller: its v1 hierarchy if one is mounted
// (then v2 cannot have it), else the v2 hierarchy.
func (r Reader) cpusetMount() (cgroupMount, error) {
	const file = procRoot + "self/mountinfo"
	text, err := r.read(file, maxTable)
	if err != nil {
		return cgroupMount{}, err
	}
	found := cgroupMount{}
	for line := range strings.Lines(text) {
		m, options, ok := parseMount(line)
		switch {
		case !ok:
		case !m.v2 && hasOption(options, "cpuset"):
			return m, nil
		case m.v2 && found.dir == "":
			found = m
		}
	}
	if found.dir == "" {
		return cgroupMount{}, errNoCpuset
	}
	return found, nil
}

// parseMount takes one mountinfo line apart if it mounts a cgroup hierarchy:
// "31 23 0:28 ROOT POINT OPTIONS [tags] - TYPE SOURCE SUPEROPTIONS".
func parseMount(line string) (m cgroupMount, options string, ok bool) {
	before, after, split := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !split || len(left) < 6 || len(right) < 3 {
		return cgroupMount{}, "", false
	}
	kind := right[0]
	if kind != "cgroup" && kind != "cgroup2" || !strings.HasPrefix(left[4], "/") {
		return cgroupMount{}, "", false
	}
	dir := strings.TrimPrefix(path.Clean(left[4]), "/")
	if !fs.ValidPath(dir) {
		return cgroupMount{}, "", false
	}
	return cgroupMount{dir: dir, root: left[3], v2: kind == "cgroup2"}, right[2], true
}

func hasOption(list, want string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == want {
			return true
		}
	}
	return false
}

// cpusetGroup finds a process's cgroup in the given hierarchy. Lines read
// "3:cpuset:/group" (v1) and "0::/group" (v2).
func (r Reader) cpusetGroup(pid int, mount cgroupMount) (string, error) {
	file := pidPath(pid, "cgroup")
	text, err := r.read(file, 64<<10)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			return "", malformed(file, fmt.Sprintf("line %q, want ID:CONTROLLERS:GROUP", clip(line)))
		}
		if mount.v2 && parts[0] == "0" && parts[1] == "" || !mount.v2 && hasOption(parts[1], "cpuset") {
			return parts[2], nil
		}
	}
	return "", malformed(file, "no line for the cpuset hierarchy")
}

// effectiveCPUs reads the CPUs that a group really has. A group without
// cpuset files (v2: the controller is not enabled there) has its parent's.
func (r Reader) effectiveCPUs(mount cgroupMount, group string) (CPUs, string, error) {
	name := "cpuset.cpus.effective"
	if !mount.v2 {
		name = "cpuset.effective_cpus"
	}
	if mount.root != "/" {
		group = strings.TrimPrefix(group, mount.root)
	}
	dir := path.Join(mount.dir, path.Clean("/"+group))
	if _, err := fs.Stat(r.root, dir); err != nil {
		return nil, "", rooted(dir, err)
	}
	for ; len(dir) >= len(mount.dir); dir = path.Dir(dir) {
		file := path.Join(dir, name)
		cpus, err := r.cpuList(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return cpus, file, err
		}
	}
	return nil, "", fs.ErrNotExist
}
