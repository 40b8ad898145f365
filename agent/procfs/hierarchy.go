package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Group is the control group of a process in the hierarchy that has one
// controller.
type Group struct {
	Controller string // "cpu", "blkio", ...
	V2         bool   // cgroup v2: one hierarchy for all
	Mount      string // where it is mounted, relative to the tree's root
	Path       string // the group, "/" for the root; as seen from the mount
}

// Dir is the group's directory, relative to the tree's root.
func (g Group) Dir() string { return path.Join(g.Mount, g.Path) }

// Parent is the group above, false at the root.
func (g Group) Parent() (Group, bool) {
	if g.Path == "/" {
		return g, false
	}
	g.Path = path.Dir(g.Path)
	return g, true
}

// Child is a group below.
func (g Group) Child(name string) Group {
	g.Path = path.Join(g.Path, name)
	return g
}

// Name is the last part of the group's path.
func (g Group) Name() string { return path.Base(g.Path) }

// ErrNoController means that no hierarchy has the controller.
var ErrNoController = errors.New("no control group hierarchy has the controller")

// Group finds the group of a process (or a thread, by its id) for one of v1's
// controllers; names are v1's, "blkio" is v2's "io". Where both versions are
// mounted (hybrid), the controller is v1's if v1 has it.
func (r Reader) Group(pid int, controller string) (Group, error) {
	mount, err := r.mountOf(controller)
	if err != nil {
		return Group{}, err
	}
	g := Group{Controller: controller, V2: mount.v2, Mount: mount.dir}
	if g.Path, err = r.groupOf(pid, controller, mount.v2); err != nil {
		return Group{}, err
	}
	if strings.HasPrefix(g.Path, "/..") {
		return Group{}, fmt.Errorf("process %d is in %s group %s, outside of this process's cgroup namespace; run in the host's", pid, controller, clip(g.Path))
	}
	if mount.root != "/" { // a part of the hierarchy is mounted: a container
		rest, ok := strings.CutPrefix(g.Path, mount.root)
		if !ok || rest != "" && rest[0] != '/' {
			return Group{}, fmt.Errorf("process %d is in %s group %s, of which only %s is mounted at /%s", pid, controller, clip(g.Path), mount.root, mount.dir)
		}
		g.Path = rest
	}
	g.Path = path.Clean("/" + g.Path)
	if !fs.ValidPath(g.Dir()) {
		return Group{}, fmt.Errorf("process %d is in %s group %q, which is no path", pid, controller, clip(g.Path))
	}
	return g, nil
}

// mountOf finds a controller's hierarchy: v1's if one is mounted, else v2's if
// that has it.
func (r Reader) mountOf(controller string) (cgroupMount, error) {
	const file = procRoot + "self/mountinfo"
	text, err := r.read(file, maxTable)
	if err != nil {
		return cgroupMount{}, err
	}
	two := cgroupMount{}
	for line := range strings.Lines(text) {
		m, _, ok := parseMount(line)
		switch {
		case !ok:
		case m.v2 && two.dir == "":
			two = m
		case !m.v2 && hasOption(superOptions(line), controller):
			return m, nil
		}
	}
	if two.dir == "" {
		return cgroupMount{}, fmt.Errorf("%w %s: no v1 hierarchy with it and no v2 is mounted", ErrNoController, controller)
	}
	list, err := r.read(path.Join(two.dir, "cgroup.controllers"), maxSmall)
	if err != nil {
		return cgroupMount{}, err
	}
	for name := range strings.FieldsSeq(list) {
		if name == controller || name == "io" && controller == "blkio" {
			return two, nil
		}
	}
	return cgroupMount{}, fmt.Errorf("%w %s: /%s has %q", ErrNoController, controller, two.dir, clip(list))
}

// superOptions are those of the hierarchy, which name a v1's controllers; the
// options of the mount need not.
func superOptions(line string) string {
	_, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
	if f := strings.Fields(after); len(f) >= 3 {
		return f[2]
	}
	return ""
}

// groupOf reads /proc/PID/cgroup: "1:cpu,cpuacct:/group" (v1), "0::/group" (v2).
func (r Reader) groupOf(pid int, controller string, v2 bool) (string, error) {
	file := pidPath(pid, "cgroup")
	text, err := r.read(file, 64<<10)
	if err != nil {
		return "", err
	}
	group, err := parseGroup(text, controller, v2)
	if err != nil {
		return "", malformed(file, err.Error())
	}
	return group, nil
}

func parseGroup(text, controller string, v2 bool) (string, error) {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			return "", fmt.Errorf("line %q, want ID:CONTROLLERS:/GROUP", clip(line))
		}
		if v2 && parts[0] == "0" && parts[1] == "" || !v2 && hasOption(parts[1], controller) {
			return parts[2], nil
		}
	}
	return "", fmt.Errorf("no line for %s", controller)
}
