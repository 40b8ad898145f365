package procfs

import (
	"errors"
	"strings"
	"testing"
)

func TestGroup(t *testing.T) {
	const cpu1 = "34 31 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
	hybrid := strings.Replace(v2, "/sys/fs/cgroup ", "/sys/fs/cgroup/unified ", 1)
	const groups = "7:blkio:/b\n2:cpu,cpuacct:/machine.slice/vm\n0::/u\n"
	for name, c := range map[string]struct {
		mounts, groups, controller string
		files                      map[string]string
		want                       Group
		err                        string
	}{
		"v1":     {cpu1, groups, "cpu", nil, Group{"cpu", false, "sys/fs/cgroup/cpu", "/machine.slice/vm"}, ""},
		"hybrid": {hybrid + cpu1, groups, "cpu", nil, Group{"cpu", false, "sys/fs/cgroup/cpu", "/machine.slice/vm"}, ""},
		"v2":     {v2, "0::/u/v\n", "cpu", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io\n"}, Group{"cpu", true, "sys/fs/cgroup", "/u/v"}, ""},
		"v2's io": {
			hybrid + cpu1, groups, "blkio",
			map[string]string{"sys/fs/cgroup/unified/cgroup.controllers": "io\n"},
			Group{"blkio", true, "sys/fs/cgroup/unified", "/u"},
			"",
		},
		"v1, root":    {cpu1, "2:cpu,cpuacct:/\n", "cpu", nil, Group{"cpu", false, "sys/fs/cgroup/cpu", "/"}, ""},
		"container":   {strings.Replace(cpu1, " / ", " /pod ", 1), "2:cpu,cpuacct:/pod/x\n", "cpu", nil, Group{"cpu", false, "sys/fs/cgroup/cpu", "/x"}, ""},
		"other pod":   {strings.Replace(cpu1, " / ", " /pod ", 1), "2:cpu,cpuacct:/podx/y\n", "cpu", nil, Group{}, "only /pod is mounted"},
		"empty v2":    {v2, "0::/\n", "cpu", map[string]string{"sys/fs/cgroup/cgroup.controllers": "\n"}, Group{}, "no control group hierarchy"},
		"no cgroups":  {"", groups, "cpu", nil, Group{}, "no control group hierarchy"},
		"namespace":   {cpu1, "2:cpu,cpuacct:/../other\n", "cpu", nil, Group{}, "cgroup namespace"},
		"no line":     {cpu1, "0::/\n", "cpu", nil, Group{}, "no line for cpu"},
		"cut line":    {cpu1, "2:cpu\n", "cpu", nil, Group{}, "want ID"},
		"no absolute": {cpu1, "2:cpu:x\n", "cpu", nil, Group{}, "want ID"},
	} {
		files := map[string]string{"proc/9/cgroup": c.groups}
		for k, v := range c.files {
			files[k] = v
		}
		got, err := machine(c.mounts, files).Group(9, c.controller)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %+v, %v, want %q", name, got, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := machine("", nil).Group(9, "cpu"); !errors.Is(err, ErrNoController) {
		t.Error(err)
	}
}

func FuzzGroup(f *testing.F) {
	f.Add("7:blkio:/b\n2:cpu,cpuacct:/machine.slice/vm\n0::/u\n", false)
	f.Add("0::/a:b\n", true)
	f.Fuzz(func(t *testing.T, text string, v2 bool) {
		if g, err := parseGroup(text, "cpu", v2); err == nil && !strings.HasPrefix(g, "/") {
			t.Errorf("%q: group %q", text, g)
		}
	})
}
