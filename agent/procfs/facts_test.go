package procfs

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
)

const statTail = " 1 69 69 0 -1 0 11 22 33 44 0 0 0 0 20 0 5 0 317716 0"

func TestKernelThreads(t *testing.T) {
	r := made(map[string]string{
		"proc/90/comm": "vhost-500\n", "proc/90/stat": strings.Replace("90 (vhost-500) S"+statTail, " 1 69", " 2 0", 1),
		"proc/91/comm": "vhost-500\n", "proc/91/stat": "91 (vhost-500) S" + statTail, // a process that took the name
		"proc/92/comm": "kworker/0\n", "proc/92/stat": strings.Replace("92 (kworker/0) S"+statTail, " 1 69", " 2 0", 1),
		"proc/93/comm": "vhost-600\n", // it ends meanwhile
	})
	got, err := r.KernelThreads("vhost-")
	check(t, err, got, []Thread{{90, "vhost-500", 317716}})
}

func TestProcessFacts(t *testing.T) {
	r := made(map[string]string{
		"proc/5/stat":          "5 (a) b) R" + statTail,
		"proc/5/status":        "Name:\tVmRSS\nVmHWM:\t 900 kB\nVmRSS:\t     300 kB\nVmSwap:\t      40 kB\n",
		"proc/5/task/6/status": "Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n",
		"proc/vmstat":          "nr_free_pages 1\npswpin 3\npswpout 4\n",
	})
	f, err := r.Footprint(5)
	check(t, err, f, Footprint{300 << 10, 40 << 10})
	n, err := r.MajorFaults(5)
	check(t, err, n, 33)
	s, err := r.Switches(5, 6)
	check(t, err, s, Switches{7, 8})
	w, err := r.Swapping()
	check(t, err, w, Swapping{3, 4})
	if _, err := r.Footprint(6); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestFactsRefused(t *testing.T) {
	refused(t, parseFootprint, "", "VmSwap: 1 kB\n", "VmRSS: 1\n", "VmRSS: -1 kB\n", "VmRSS: 1 MB\n", "VmRSS: 9007199254740992 kB\n", "VmRSS: 1 kB\nVmSwap: x kB\n")
	refused(t, parseMajorFaults, "", "5 (a) R 1 2 3", strings.Replace("5 (a) R"+statTail, "33", "-33", 1))
	refused(t, parseSwitches, "", "voluntary_ctxt_switches: 1\n", "voluntary_ctxt_switches: 1\nnonvoluntary_ctxt_switches: -1\n")
	refused(t, parseVMStat, "", "pswpin -1\n", "pswpin\n", "pswpout 1 2\n")
	first := func(s string) (Speed, error) { return parseCPUInfo(s, 0) }
	refused(t, first, "", "processor: 1\n", "processor: x\n", "processor: 0\ncpu MHz: -1\n", "processor: 0\ncpu MHz: NaN\n", "processor: 0\ncpu MHz: 1e12\n")
}

func TestCores(t *testing.T) {
	cpu := func(n string) string { return sysCPU + "cpu" + n + "/topology/" }
	r := made(map[string]string{
		cpu("0") + "core_cpus_list": "0,4\n", cpu("4") + "core_cpus_list": "0,4\n",
		cpu("1") + "thread_siblings_list": "1,5\n", cpu("5") + "core_cpus_list": "1,5\n",
		cpu("2") + "core_cpus_list": "3\n", cpu("6") + "core_cpus_list": "0,6\n",
	})
	got, err := r.Cores(CPUs{0, 1, 4})
	check(t, err, got, []CPUs{{0, 4}, {1}})
	for what, cpus := range map[string]CPUs{"not in its own core": {2}, "offline": {7}, "in two cores": {0, 6}} {
		if got, err := r.Cores(cpus); err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestSpeed(t *testing.T) {
	info := "processor\t: 0\nmodel name\t: Slow\ncpu MHz\t\t: 800.5\n\nprocessor\t: 1\nmodel name\t: Fast one\ncpu MHz\t\t: 2596.134\n"
	dir := sysCPU + "cpu1/cpufreq/"
	s, err := made(map[string]string{"proc/cpuinfo": info}).Speed(1)
	check(t, err, s, Speed{Model: "Fast one", CurrentKHz: 2596134})
	s, err = made(map[string]string{"proc/cpuinfo": info, dir + "cpuinfo_max_freq": "3500000\n", dir + "base_frequency": "2400000\n", dir + "scaling_cur_freq": "3000000\n"}).Speed(1)
	check(t, err, s, Speed{"Fast one", 3500000, 2400000, 3000000})
	if s, err := made(map[string]string{"proc/cpuinfo": info, dir + "base_frequency": "0\n"}).Speed(1); err == nil || !strings.Contains(err.Error(), "base_frequency") {
		t.Error(s, err)
	}
}

func TestCapacity(t *testing.T) {
	cpu := func(n string) string { return sysCPU + "cpu" + n + "/topology/core_cpus_list" }
	r := made(map[string]string{cpu("1"): "0-1\n", cpu("2"): "2-3\n", cpu("3"): "2-3\n", "proc/cpuinfo": "processor\t: 0\nprocessor\t: 1\nmodel name\t: X\n"})
	c, err := r.Capacity(CPUs{1, 2, 3})
	check(t, err, c, Capacity{3, 2, Speed{Model: "X"}})
	if !c.SMT() || (Capacity{CPUs: 2, Cores: 2}).SMT() {
		t.Error("SMT")
	}
	if c, err := r.Capacity(CPUs{2, 3}); err == nil { // /proc/cpuinfo has no such CPU
		t.Errorf("%+v", c)
	}
	c, err = r.Capacity(nil)
	check(t, err, c, Capacity{})
}

func TestInterrupts(t *testing.T) {
	times := []CPUTimes{{CPU: 0, IRQNS: 1, SoftIRQNS: 2}, {CPU: 1, IRQNS: 10, SoftIRQNS: 20, UserNS: 5}, {CPU: 3, IRQNS: 100}}
	if got := InterruptNS(times, CPUs{1, 2, 3}); got != 130 {
		t.Error(got)
	}
}

// On this machine the facts agree with what the test itself knows.
func TestFactsOfThisMachine(t *testing.T) {
	r, pid := Host(), os.Getpid()
	ballast := make([]byte, 32<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	f, err := r.Footprint(pid)
	if err != nil || f.ResidentBytes < int64(len(ballast)) || f.SwappedBytes < 0 {
		t.Errorf("%+v, %v", f, err)
	}
	runtime.KeepAlive(ballast)
	if _, err := r.MajorFaults(pid); err != nil {
		t.Error(err)
	}
	if s, err := r.Switches(pid, pid); err != nil || s.Voluntary+s.Involuntary == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := r.Swapping(); err != nil {
		t.Error(err)
	}
	online, err := r.OnlineCPUs()
	if err != nil {
		t.Fatal(err)
	}
	cores, err := r.Cores(online)
	threads := 0
	for _, c := range cores {
		threads += len(c)
	}
	if err != nil || threads != len(online) {
		t.Errorf("cores %v of CPUs %v, %v", cores, online, err)
	}
	if _, err := r.Speed(online[0]); err != nil {
		t.Error(err)
	}
	if _, err := r.KernelThreads("vhost-"); err != nil {
		t.Error(err)
	}
}

// FuzzFacts: whatever the text, no parser panics or returns what it promises
// never to.
func FuzzFacts(f *testing.F) {
	for _, s := range []string{
		"VmRSS:\t 300 kB\nVmSwap:\t 40 kB\n", "5 (a) R" + statTail, "pswpin 3\npswpout 4\n",
		"voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n", "processor\t: 0\nmodel name\t: X\ncpu MHz\t\t: 800.5\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parseFootprint(text); err == nil && (p.ResidentBytes < 0 || p.SwappedBytes < 0) {
			t.Errorf("%+v", p)
		}
		if s, err := parseCPUInfo(text, 0); err == nil && (s.CurrentKHz > maxKHz || len(s.Model) > 90) {
			t.Errorf("%+v", s)
		}
		_, _ = parseMajorFaults(text)
		_, _ = parseSwitches(text)
		_, _ = parseVMStat(text)
	})
}
