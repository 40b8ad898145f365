package procfs

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// captured is what kernel 6.18 wrote about a host with two CPUs, cgroup v1 and
// one VM under TCG, process 70.
func captured() Reader { return New(os.DirFS("testdata/host")) }

// made is a tree of the given files.
func made(files map[string]string) Reader {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return New(m)
}

func TestCaptured(t *testing.T) {
	r := captured()
	threads, err := r.Threads(70)
	check(t, err, threads, []Thread{
		{70, "qemu-system-x86", 317712},
		{74, "call_rcu", 317716},
		{75, "IO mon_iothread", 317718},
		{76, "CPU 0/TCG", 317718},
		{77, "CPU 1/TCG", 317718},
	})
	s, err := r.Schedstat(70, 76)
	check(t, err, s, Schedstat{RunNS: 43209382, WaitNS: 24431300, Timeslices: 67})
	p, err := r.Process(70)
	check(t, err, p, Thread{70, "qemu-system-x86", 317712})
	m, err := r.Memory()
	check(t, err, m, Memory{TotalBytes: 24684084 << 10, AvailableBytes: 23949064 << 10})
	online, err := r.OnlineCPUs()
	check(t, err, online, CPUs{0, 1})
	id, err := r.BootID()
	check(t, err, id, "6f5b9a0e-3c1d-4d0a-9b52-0f0e6f1c2a77")
	pids, err := r.PIDs()
	check(t, err, pids, []int{70})

	args, err := r.Cmdline(70)
	if err != nil || args[0] != "/usr/bin/qemu-system-x86_64" || !slices.Contains(args, "guest=one,debug-threads=on") {
		t.Errorf("arguments %q, %v", args, err)
	}
	cpus, from, err := r.GuestCPUs(70)
	if err != nil || cpus.String() != "0-1" || from != "/sys/fs/cgroup/cpuset/cpuset.effective_cpus" {
		t.Errorf("CPUs for guests %s from %s, %v", cpus, from, err)
	}
	pressure, err := r.Pressure(ResourceCPU)
	check(t, err, pressure, Pressure{
		Some:    Stall{Avg10: 0.4905, Avg60: 0.4174, Avg300: 0.326, TotalNS: 210119668000},
		HasFull: true,
	})
	times, err := r.CPUTimes()
	check(t, err, times[1], CPUTimes{
		CPU: 1, UserNS: 255320000000, NiceNS: 44610000000, SystemNS: 99220000000,
		IdleNS: 2756580000000, IOWaitNS: 10920000000, SoftIRQNS: 1850000000, StealNS: 200000000,
	})
	if times[1].BusyNS()+2756580000000+10920000000+200000000 != times[1].TotalNS() {
		t.Errorf("busy %d, total %d", times[1].BusyNS(), times[1].TotalNS())
	}
}

func check[T any](t *testing.T, err error, got, want T) {
	t.Helper()
	if err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// On this machine the readers agree with what the test itself knows.
func TestThisMachine(t *testing.T) {
	r := Host()
	pid := os.Getpid()
	args, err := r.Cmdline(pid)
	check(t, err, args, os.Args)
	threads, err := r.Threads(pid)
	if err != nil || len(threads) == 0 || threads[0].TID != pid {
		t.Fatalf("threads %v, %v", threads, err)
	}
	before, err := r.Schedstat(pid, pid)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := r.Memory(); err != nil || m.TotalBytes < 1<<20 {
		t.Errorf("memory %+v, %v", m, err)
	}
	online, err := r.OnlineCPUs()
	if err != nil {
		t.Fatal(err)
	}
	times, err := r.CPUTimes()
	if err != nil || len(times) != len(online) {
		t.Errorf("times of %d CPUs, %d are online, %v", len(times), len(online), err)
	}
	guests, from, err := r.GuestCPUs(pid)
	if err != nil || len(guests) == 0 || len(guests.And(online)) != len(guests) {
		t.Errorf("CPUs for guests %v from %s, %v", guests, from, err)
	}
	if _, err := r.BootID(); err != nil {
		t.Error(err)
	}
	for _, res := range []Resource{ResourceCPU, ResourceMemory, ResourceIO} {
		if _, err := r.Pressure(res); err != nil && !errors.Is(err, ErrNoPressure) {
			t.Error(err)
		}
	}
	after, err := r.Schedstat(pid, pid)
	if err != nil || after.RunNS < before.RunNS || after.WaitNS < before.WaitNS {
		t.Errorf("schedstat fell from %+v to %+v, %v", before, after, err)
	}
}

func TestEnded(t *testing.T) {
	r := made(nil)
	_, stat := r.Schedstat(1, 2)
	_, threads := r.Threads(1)
	_, cmdline := r.Cmdline(1)
	_, process := r.Process(1)
	for what, err := range map[string]error{"Schedstat": stat, "Threads": threads, "Cmdline": cmdline, "Process": process} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/proc/1/") {
			t.Errorf("%s of an ended process: %v", what, err)
		}
	}
	if err := rooted("proc/1/cmdline", &fs.PathError{Op: "read", Path: "x", Err: syscall.ESRCH}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a process that ended between open and read: %v", err)
	}
}

// A thread that ends while the list is made is left out; one that makes no
// sense is an error.
func TestThreadsEndMeanwhile(t *testing.T) {
	const ok = "5 (a) b) R 1 69 69 0 -1 0 0 0 0 0 0 0 0 0 20 0 5 0 317716 0"
	threads, err := made(map[string]string{"proc/5/task/5/stat": ok, "proc/5/task/6/comm": "x"}).Threads(5)
	check(t, err, threads, []Thread{{5, "a) b", 317716}})
	if _, err := made(map[string]string{"proc/5/task/5/stat": "5 (a) R"}).Threads(5); err == nil || !strings.Contains(err.Error(), "/proc/5/task/5/stat") {
		t.Errorf("a cut line: %v", err)
	}
}

func TestNoArguments(t *testing.T) {
	args, err := made(map[string]string{"proc/5/cmdline": ""}).Cmdline(5)
	check(t, err, args, nil)
	args, err = made(map[string]string{"proc/5/cmdline": "a\x00\x00b\x00"}).Cmdline(5)
	check(t, err, args, []string{"a", "", "b"})
}

func TestTooLarge(t *testing.T) {
	_, err := made(map[string]string{"proc/1/task/1/schedstat": strings.Repeat("1", maxSmall+1)}).Schedstat(1, 1)
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

// noPSI answers as a kernel booted with psi=0: the files exist, reading fails.
type noPSI struct{ fs.FS }

func (noPSI) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EOPNOTSUPP}
}

func TestNoPressure(t *testing.T) {
	for what, r := range map[string]Reader{"absent": made(nil), "off": New(noPSI{})} {
		if p, err := r.Pressure(ResourceMemory); !errors.Is(err, ErrNoPressure) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}
