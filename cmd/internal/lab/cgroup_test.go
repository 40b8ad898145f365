package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindCpuset(t *testing.T) {
	unified := t.TempDir()
	controllers := filepath.Join(unified, "cgroup.controllers")
	for _, tt := range []struct {
		name, mountinfo, controllers string
		want                         cpuset
	}{
		{
			name: "version 1, with an empty version 2 beside it",
			mountinfo: "30 29 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
				"31 29 0:27 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset\n" +
				"32 29 0:28 / " + unified + " rw - cgroup2 cgroup2 rw\n",
			want: cpuset{root: "/sys/fs/cgroup/cpuset"},
		},
		{
			name:      "version 1, mounted with another controller",
			mountinfo: "31 29 0:27 / /cg rw - cgroup none rw,cpu,cpuset\n",
			want:      cpuset{root: "/cg"},
		},
		{
			name:        "version 2",
			mountinfo:   "garbage\n32 29 0:28 / " + unified + " rw - cgroup2 cgroup2 rw,nsdelegate\n",
			controllers: "cpuset cpu io memory pids\n",
			want:        cpuset{root: unified, unified: true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(controllers, []byte(tt.controllers), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := findCpuset(tt.mountinfo)
			if err != nil || got != tt.want {
				t.Errorf("findCpuset = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if _, err := findCpuset("31 29 0:27 / /cg rw - cgroup none rw,memory\n"); err == nil || !strings.Contains(err.Error(), "mount -t cgroup") {
		t.Errorf("without cpuset: %v, want the remedy", err)
	}
}

func TestDelegateChangesOnlyWhatItMust(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cgroup.subtree_control")
	for _, tt := range []struct {
		before  string
		changed bool
	}{{"cpu io cpuset\n", false}, {"cpu io\n", true}} {
		if err := os.WriteFile(file, []byte(tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		changed, err := delegate(dir)
		if err != nil || changed != tt.changed {
			t.Errorf("with %q: changed %v, %v", tt.before, changed, err)
		}
	}
}

func TestCgroupCountsEveryLevel(t *testing.T) {
	g := cgroup{path: t.TempDir()}
	for i, dir := range []string{"", "hv1", "hv1/machine/vm"} {
		path := filepath.Join(g.path, dir)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), fmt.Appendf(nil, "%d\n", i+1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pids, err := g.processes()
	if err != nil || len(pids) != 3 {
		t.Errorf("processes %v, %v", pids, err)
	}
	gone := cgroup{path: filepath.Join(g.path, "never")}
	if pids, err := gone.processes(); err != nil || len(pids) != 0 {
		t.Errorf("a cgroup that is gone has processes %v, %v", pids, err)
	}
	if err := gone.destroy(t.Context()); err != nil {
		t.Errorf("a cgroup that is gone cannot be destroyed: %v", err)
	}
}
