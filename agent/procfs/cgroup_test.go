package procfs

import (
	"maps"
	"strings"
	"testing"
)

const (
	v1 = "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset\n"
	v2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
)

// machine has eight CPUs of which the last two are offline.
func machine(mounts string, files map[string]string) Reader {
	all := map[string]string{sysCPU + "online": "0-5\n", "proc/self/mountinfo": "22 27 0:21 / /proc rw - proc proc rw\n" + mounts}
	maps.Copy(all, files)
	return made(all)
}

func TestGuestCPUs(t *testing.T) {
	for name, c := range map[string]struct {
		mounts string
		files  map[string]string
		want   string
		from   string
	}{
		"no cgroups": {
			"", nil,
			"0-5", "/sys/devices/system/cpu/online",
		},
		"v2, machine.slice": {
			v2,
			map[string]string{
				"sys/fs/cgroup/machine.slice/cpuset.cpus.effective": "2-7\n",
				"sys/fs/cgroup/system.slice/x":                      "",
			},
			"2-5", "/sys/fs/cgroup/machine.slice/cpuset.cpus.effective",
		},
		"v2, machine.slice without the controller": {
			v2,
			map[string]string{
				"sys/fs/cgroup/machine.slice/cgroup.procs": "",
				"sys/fs/cgroup/cpuset.cpus.effective":      "0-4\n",
				"proc/9/cgroup":                            "0::/system.slice/libvirtd.service\n",
			},
			"0-4", "/sys/fs/cgroup/cpuset.cpus.effective",
		},
		"v2, no machine.slice, daemon in a nested group": {
			v2,
			map[string]string{
				"sys/fs/cgroup/lab/cpuset.cpus.effective": "1\n",
				"sys/fs/cgroup/lab/hv1/cgroup.procs":      "9\n",
				"proc/9/cgroup":                           "0::/lab/hv1\n",
			},
			"1", "/sys/fs/cgroup/lab/cpuset.cpus.effective",
		},
		"v1, libvirt's own group": {
			v1,
			map[string]string{
				"sys/fs/cgroup/cpuset/machine/cpuset.effective_cpus": "0,4\n",
				"proc/9/cgroup": "3:cpuset:/\n0::/\n",
			},
			"0,4", "/sys/fs/cgroup/cpuset/machine/cpuset.effective_cpus",
		},
		"v1 beside an empty v2, daemon's group": {
			strings.Replace(v2, "/sys/fs/cgroup ", "/sys/fs/cgroup/unified ", 1) + v1,
			map[string]string{
				"sys/fs/cgroup/cpuset/hv2/cpuset.effective_cpus": "3\n",
				"proc/9/cgroup": "4:memory:/\n3:cpuset:/hv2\n0::/\n",
			},
			"3", "/sys/fs/cgroup/cpuset/hv2/cpuset.effective_cpus",
		},
		"v1, controllers mounted together, in a container": {
			"34 31 0:31 /pod /sys/fs/cgroup/cpu,cpuset ro - cgroup cgroup rw,cpu,cpuset\n",
			map[string]string{
				"sys/fs/cgroup/cpu,cpuset/vms/cpuset.effective_cpus": "5\n",
				"proc/9/cgroup": "3:cpu,cpuset:/pod/vms\n",
			},
			"5", "/sys/fs/cgroup/cpu,cpuset/vms/cpuset.effective_cpus",
		},
	} {
		cpus, from, err := machine(c.mounts, c.files).GuestCPUs(9)
		if err != nil || cpus.String() != c.want || from != c.from {
			t.Errorf("%s: %s from %s, %v, want %s from %s", name, cpus, from, err, c.want, c.from)
		}
	}
}

func TestGuestCPUsUnknownDaemon(t *testing.T) {
	cpus, from, err := machine(v2, nil).GuestCPUs(0)
	if err != nil || cpus.String() != "0-5" || from != "/sys/devices/system/cpu/online" {
		t.Errorf("%s from %s, %v", cpus, from, err)
	}
}

func TestGuestCPUsRefused(t *testing.T) {
	slice := "sys/fs/cgroup/machine.slice/cpuset.cpus.effective"
	for name, files := range map[string]map[string]string{
		"all its CPUs are offline": {slice: "6-7\n", "proc/9/cgroup": "0::/\n"},
		"empty":                    {slice: "\n", "proc/9/cgroup": "0::/\n"},
		"not a list":               {slice: "all\n", "proc/9/cgroup": "0::/\n"},
		"daemon ended":             {},
		"no such hierarchy":        {"proc/9/cgroup": "3:cpuset:/\n"},
		"cut line":                 {"proc/9/cgroup": "3:cpuset\n"},
	} {
		if cpus, from, err := machine(v2, files).GuestCPUs(9); err == nil {
			t.Errorf("%s: took %s from %s", name, cpus, from)
		}
	}
}
