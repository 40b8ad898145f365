package procfs

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// refused runs a parser over text that no kernel writes.
func refused[T any](t *testing.T, parse func(string) (T, error), texts ...string) {
	t.Helper()
	for _, text := range texts {
		if got, err := parse(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestRefused(t *testing.T) {
	refused(t, parseSchedstat, "", "1 2", "1 2 3 4", "1 -2 3", "1 2 x", "18446744073709551616 0 0", "1.5 0 0")
	const tail = " 1 69 69 0 -1 0 0 0 0 0 0 0 0 0 20 0 5 0 317716 0"
	refused(t, parseStat, "", "5", "5 (a", "5 a) R"+tail, "x (a) R"+tail, "0 (a) R"+tail, "5 )a( R"+tail, "4194305 (a) R"+tail,
		"5 (a) R 1 2 3", strings.Replace("5 (a) R"+tail, "317716", "-1", 1))
	const mem = "MemTotal: 100 kB\nMemAvailable: 50 kB\n"
	if _, err := parseMeminfo(mem); err != nil {
		t.Error(err)
	}
	refused(t, parseMeminfo, "", "MemTotal: 100 kB\n", "MemAvailable: 50 kB\n", strings.Replace(mem, "100", "-1", 1), strings.Replace(mem, "100 kB", "100", 1),
		strings.Replace(mem, "100", "0", 1), strings.Replace(mem, "50", "101", 1), strings.Replace(mem, "100", "9007199254740992", 1))
	refused(t, ParseCPUs, "a", "-1", "1-", "3-1", "1,,2", "0-8192", "8192", "0-7:2/4", "1 2", strings.Repeat("0-8191,", 3)+"1")
	const cpu = "cpu0 1 2 3 4 5 6 7 8 0 0\n"
	if _, err := parseCPUTimes(cpu); err != nil {
		t.Error(err)
	}
	refused(t, parseCPUTimes, "", "cpu 1 2 3 4 5 6 7 8 9 10\n", "cpu0 1 2 3\n", cpu+cpu, "cpu1"+cpu[4:]+cpu, strings.Replace(cpu, "4", "-4", 1), strings.Replace(cpu, "cpu0", "cpu9999", 1),
		strings.Replace(cpu, "4", "18446744073709551615", 1))
	const psi = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
	if p, err := parsePressure(psi); err != nil || p.HasFull {
		t.Error(p, err)
	}
	refused(t, parsePressure, "", "full"+psi[4:], "much"+psi[4:], strings.Replace(psi, "0.00", "NaN", 1), strings.Replace(psi, "0.00", "-1", 1), strings.Replace(psi, "0.00", "100.01", 1),
		strings.Replace(psi, "avg60", "avg61", 1), strings.Replace(psi, "total=0", "total=-1", 1), strings.Replace(psi, "total=0", "total=18446744073709551", 1)+"x", psi+"\n")
}

func TestCPULists(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "\n": "", "0": "0", "0-3,8\n": "0-3,8", "8,0-3": "0-3,8", "3,2,1,2-4": "1-4", "8191": "8191", "0,2,4-5": "0,2,4-5",
	} {
		got, err := ParseCPUs(text)
		if err != nil || got.String() != want {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	a, b := CPUs{0, 1, 2, 9}, CPUs{1, 9, 10}
	if got := a.And(b); !slices.Equal(got, CPUs{1, 9}) {
		t.Errorf("common CPUs %v", got)
	}
	if !a.Has(9) || a.Has(3) {
		t.Error("Has")
	}
}

// Guest time is part of user time for the kernel; here the parts can be summed.
func TestGuestTimeCountsOnce(t *testing.T) {
	times, err := parseCPUTimes("cpu3 100 50 0 0 0 0 0 0 60 50\n")
	check(t, err, times, []CPUTimes{{CPU: 3, UserNS: 400e6, GuestNS: 600e6, GuestNiceNS: 500e6}})
	if got := times[0].BusyNS(); got != 1500e6 {
		t.Errorf("busy %d ns", got)
	}
	// Read between the kernel's two additions.
	times, err = parseCPUTimes("cpu3 100 0 0 0 0 0 0 0 101 0\n")
	check(t, err, times, []CPUTimes{{CPU: 3, GuestNS: 1010e6}})
}

func FuzzCPUs(f *testing.F) {
	for _, s := range []string{"0-3,8", "", "8191", "1,0,1", "0-8191"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cpus, err := ParseCPUs(text)
		if err != nil {
			return
		}
		if len(cpus) > MaxCPUs || !slices.IsSorted(cpus) {
			t.Fatalf("%q: %v", text, cpus)
		}
		again, err := ParseCPUs(cpus.String())
		if err != nil || !slices.Equal(cpus, again) {
			t.Fatalf("%q: %v written as %q reads %v, %v", text, cpus, cpus, again, err)
		}
	})
}

// FuzzParsers: whatever the text, no parser panics or returns what it promises
// never to.
func FuzzParsers(f *testing.F) {
	for _, s := range []string{
		"42254253 45600954 918\n",
		"70 (qemu-system-x86) S 1 69 69 0 -1 138412416 4656 0 0 0 2 2 0 0 20 0 5 0 317712 1512468480",
		"MemTotal: 100 kB\nMemAvailable: 50 kB\n",
		"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n",
		"some avg10=49.05 avg60=41.74 avg300=32.60 total=210119668\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseSchedstat(text)
		if th, err := parseStat(text); err == nil && (th.TID < 1 || th.TID > maxPID) {
			t.Errorf("thread %+v", th)
		}
		if m, err := parseMeminfo(text); err == nil && (m.TotalBytes < 1 || m.AvailableBytes < 0 || m.AvailableBytes > m.TotalBytes) {
			t.Errorf("memory %+v", m)
		}
		if times, err := parseCPUTimes(text); err == nil {
			for _, c := range times {
				if c.TotalNS() < c.BusyNS() || c.CPU < 0 || c.CPU >= MaxCPUs {
					t.Errorf("times %+v", c)
				}
			}
		}
		if p, err := parsePressure(text); err == nil {
			for _, avg := range []float64{p.Some.Avg10, p.Some.Avg60, p.Some.Avg300, p.Full.Avg10} {
				if math.IsNaN(avg) || avg < 0 || avg > 1 {
					t.Errorf("pressure %+v", p)
				}
			}
		}
		for line := range strings.Lines(text) {
			if m, _, ok := parseMount(line); ok && (m.dir == "" || strings.HasPrefix(m.dir, "/")) {
				t.Errorf("mount %+v", m)
			}
		}
		_, _, _ = made(map[string]string{"proc/self/mountinfo": text, sysCPU + "online": "0", "proc/9/cgroup": text}).GuestCPUs(9)
	})
}
