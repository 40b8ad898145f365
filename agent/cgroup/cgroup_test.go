package cgroup

import (
	"io/fs"
	"maps"
	"math"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

const (
	mountV1 = "34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
	mountV2 = "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
	scope   = `/tenant.slice/machine-qemu\x2d1\x2dweb.scope`
)

// made is a tree of files; each directory's inode is the length of its path.
func made(files map[string]string) Reader {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return New(procfs.New(inodes{m}))
}

type inodes struct{ fstest.MapFS }

func (i inodes) Stat(name string) (fs.FileInfo, error) {
	info, err := i.MapFS.Stat(name)
	return withInode{info, uint64(len(name))}, err
}

type withInode struct {
	fs.FileInfo
	inode uint64
}

func (w withInode) Sys() any { return &syscall.Stat_t{Ino: w.inode} }

// v2 is libvirt 8 under systemd: a quota of 50 % for each of two vCPUs, none
// for the VM, 150 % for the tenant's slice.
func v2() map[string]string {
	const cg = "sys/fs/cgroup"
	files := map[string]string{
		"proc/self/mountinfo":      mountV2,
		"proc/9/cgroup":            "0::" + scope + "/libvirt/emulator\n",
		cg + "/cgroup.controllers": "cpu io\n",
		cg + "/io.stat":            "",
		cg + "/cpu.stat":           "usage_usec 1\n",
	}
	files[cg+scope+"/cpu.weight"] = "400\n"
	for path, limit := range map[string]string{
		scope + "/libvirt/vcpu0": "50000 100000", scope + "/libvirt/vcpu1": "50000 100000", scope + "/libvirt/emulator": "max 100000",
		scope + "/libvirt": "max 100000", scope: "max 100000", "/tenant.slice": "150000 100000",
	} {
		files[cg+path+"/cpu.max"] = limit + "\n"
		files[cg+path+"/cpu.stat"] = "usage_usec 99\nnr_periods 10\nnr_throttled 4\nthrottled_usec 7000\n"
	}
	return files
}

func TestLimitsV2(t *testing.T) {
	r := made(v2())
	l, err := r.Limits(9, 3)
	if err != nil {
		t.Fatal(err)
	}
	throttle := Throttle{true, 10, 4, 7_000_000}
	half, none := Quota{50e6, 100e6}, Quota{}
	want := Limits{
		VCPU:   []Level{{scope + "/libvirt/vcpu0", half, throttle}, {scope + "/libvirt/vcpu1", half, throttle}, {}},
		VM:     []Level{{scope + "/libvirt", none, throttle}, {scope, none, throttle}},
		Slices: []Level{{"/tenant.slice", Quota{150e6, 100e6}, throttle}},
		Weight: 400,
	}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m, limited := l.Own(); m != 2000 || !limited { // 500 + 500 + one vCPU without
		t.Errorf("own %d, %v", m, limited)
	}
	if m, limited := l.Shared(); m != 1500 || !limited {
		t.Errorf("shared %d, %v", m, limited)
	}
}

func TestLimitsV1(t *testing.T) {
	const cg, vm = "sys/fs/cgroup/cpu", "/machine/qemu-1-web.libvirt-qemu"
	files := map[string]string{
		"proc/self/mountinfo": mountV1,
		"proc/9/cgroup":       "2:cpu,cpuacct:" + vm + "/emulator\n3:blkio:" + vm + "\n0::/\n",
	}
	for path, quota := range map[string]string{vm + "/vcpu0": "-1", vm: "150000", "/machine": "-1"} {
		files[cg+path+"/cpu.cfs_quota_us"] = quota + "\n"
		files[cg+path+"/cpu.cfs_period_us"] = "100000\n"
		files[cg+path+"/cpu.stat"] = "nr_periods 10\nnr_throttled 4\nthrottled_time 7000\n"
	}
	files["sys/fs/cgroup/blkio"+vm+"/blkio.x"], files[cg+vm+"/cpu.shares"] = "", "512\n"
	r := made(files)
	l, err := r.Limits(9, 1)
	if err != nil {
		t.Fatal(err)
	}
	throttle := Throttle{true, 10, 4, 7000}
	want := Limits{
		VCPU:   []Level{{vm + "/vcpu0", Quota{}, throttle}},
		VM:     []Level{{vm, Quota{150e6, 100e6}, throttle}},
		Slices: []Level{{"/machine", Quota{}, throttle}},
		Weight: 50,
	}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m, limited := l.Own(); m != 1500 || !limited {
		t.Errorf("own %d, %v", m, limited)
	}
	if m, limited := l.Shared(); limited {
		t.Errorf("shared %d", m)
	}
	b, err := r.Block(9)
	if want := (BlockGroup{vm, uint64(len("sys/fs/cgroup/blkio" + vm)), true}); err != nil || b != want {
		t.Errorf("%+v, %v", b, err)
	}
}

// A QEMU in its daemon's group has no levels of its own: the lab, and libvirt
// with cgroup_controllers = [].
func TestNoGroupOfItsOwn(t *testing.T) {
	files := v2()
	files["proc/9/cgroup"] = "0::/tenant.slice\n"
	l, err := made(files).Limits(9, 1)
	if err != nil || l.VCPU != nil || l.VM != nil || len(l.Slices) != 1 || l.Slices[0].Path != "/tenant.slice" {
		t.Errorf("%+v, %v", l, err)
	}
	files["proc/9/cgroup"] = "0::/\n"
	if l, err := made(files).Limits(9, 1); err != nil || l.Slices != nil {
		t.Errorf("in the root: %+v, %v", l, err)
	}
	files["proc/9/cgroup"] = "0::/gone.slice\n"
	if l, err := made(files).Limits(9, 1); err == nil {
		t.Errorf("in a group that is gone: %+v", l)
	}
}

// Whose group the I/O is charged to depends on how far down io is enabled.
func TestBlockV2(t *testing.T) {
	const cg = "sys/fs/cgroup"
	for _, c := range []struct {
		enabled string
		want    BlockGroup
	}{
		{"", BlockGroup{"/", uint64(len(cg)), false}},
		{"/tenant.slice", BlockGroup{"/tenant.slice", uint64(len(cg + "/tenant.slice")), false}},
		{scope, BlockGroup{scope, uint64(len(cg + scope)), true}},
	} {
		files := maps.Clone(v2())
		files[cg+c.enabled+"/io.stat"] = ""
		if got, err := made(files).Block(9); err != nil || got != c.want {
			t.Errorf("io enabled at %q: %+v, %v", c.enabled, got, err)
		}
	}
}

func level(milli, throttledNS uint64) Level {
	return Level{"g", Quota{milli * 1e5, 100e6}, Throttle{Known: true, TimeNS: throttledNS}}
}

func TestOwn(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Limits
		want int64
	}{
		{"two vCPUs at 50 %, VM at 200 %", Limits{VCPU: []Level{level(500, 0), level(500, 0)}, VM: []Level{level(2000, 0)}}, 1000},
		{"one vCPU at 30 %, one without", Limits{VCPU: []Level{level(300, 0), {}}}, 1300},
		{"four vCPUs, VM at 150 %", Limits{VCPU: make([]Level, 4), VM: []Level{{}, level(1500, 0)}}, 1500},
		{"vCPUs above one CPU", Limits{VCPU: []Level{level(3000, 0)}}, 0},
		{"none", Limits{VCPU: make([]Level, 4), VM: []Level{{}}}, 0},
	} {
		if got, limited := c.l.Own(); got != c.want || limited != (c.want > 0) {
			t.Errorf("%s: %d, %v, want %d", c.name, got, limited, c.want)
		}
	}
	for q, want := range map[Quota]int64{{1, 100e6}: 1, {1000e9, 100e6}: 10_000_000, {math.MaxUint64, 1}: math.MaxInt64} {
		if got := q.MilliCPU(); got != want {
			t.Errorf("%+v: %d, want %d", q, got, want)
		}
	}
}

func TestSplitQuota(t *testing.T) {
	own := Limits{VCPU: []Level{level(500, 0)}}
	slice := Limits{Slices: []Level{level(500, 0)}}
	both := Limits{VCPU: own.VCPU, Slices: slice.Slices}
	for _, c := range []struct {
		name        string
		ns          uint64
		g           Growth
		l           Limits
		own, slices uint64
	}{
		{"own alone", 100, Growth{OwnNS: 90}, both, 100, 0},
		{"slice alone", 100, Growth{SlicesNS: 300}, both, 0, 100},
		{"three to one", 100, Growth{300, 100}, both, 75, 25},
		{"rounded, nothing lost", 100, Growth{1, 2}, both, 33, 67},
		{"not ended, only a slice has a quota", 100, Growth{}, slice, 0, 100},
		{"not ended, only its own", 100, Growth{}, own, 100, 0},
		{"not ended, both", 100, Growth{}, both, 100, 0},
		{"huge", math.MaxUint64, Growth{math.MaxUint64, math.MaxUint64}, both, math.MaxUint64 / 2, math.MaxUint64/2 + 1},
	} {
		a, b := SplitQuota(c.ns, c.g, c.l)
		if a+b != c.ns || a > c.own+1 || a+1 < c.own {
			t.Errorf("%s: %d and %d, want %d and %d", c.name, a, b, c.own, c.slices)
		}
		if c.ns < 1000 && a != c.own {
			t.Errorf("%s: own %d, want %d", c.name, a, c.own)
		}
	}
}

func TestSince(t *testing.T) {
	at := func(path string, ns uint64) Level {
		return Level{Path: path, Throttle: Throttle{Known: true, TimeNS: ns}}
	}
	before := Limits{VCPU: []Level{at("v0", 5), at("v1", 50)}, VM: []Level{at("vm", 7)}, Slices: []Level{at("s", 100)}}
	now := Limits{VCPU: []Level{at("v0", 8), at("v1", 2), at("v2", 999)}, VM: []Level{{Path: "vm"}}, Slices: []Level{at("s", 140)}}
	if got := now.Since(before); got != (Growth{OwnNS: 3 + 2, SlicesNS: 40}) {
		t.Errorf("%+v", got)
	}
}

func refused[T any](t *testing.T, parse func(string) (T, error), texts ...string) {
	t.Helper()
	for _, text := range texts {
		if got, err := parse(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestRefused(t *testing.T) {
	refused(t, parseMax, "", "max", "1 2 3", "x 100000", "-1 100000", "0 100000", "1000 0", "1000 x", "max 0", "1125899906842625 1")
	refused(t, parseQuotaV1, "", "-2", "0", "x")
	refused(t, parseWeight, "", "max", "-1", "10001", "1.5", "99999999999999999999")
	refused(t, parseShares, "", "-1", "262145")
	for text, want := range map[string]int64{"2\n": 1, "1024": 100, "2048": 200, "262144": 10_000} {
		if got, err := parseShares(text); err != nil || got != want {
			t.Errorf("shares %q are %d, %v, want %d", text, got, err, want)
		}
	}
	if got, err := parseWeight("0\n"); err != nil || got != 1 {
		t.Errorf("an idle group has %d, %v", got, err)
	}
	refused(t, parseThrottle, "nr_periods\n", "nr_periods -1\n", "throttled_usec x\n", "throttled_usec 1125899906842625\n", "throttled_time 1.5\n")
	if got, err := parseThrottle("usage_usec 5\n"); err != nil || got.Known {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzParsers: whatever the text, no parser panics, and a limit is never 0.
func FuzzParsers(f *testing.F) {
	for _, s := range []string{"50000 100000\n", "max 100000\n", "-1\n", "nr_periods 10\nnr_throttled 4\nthrottled_usec 7000\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := parseMax(text); err == nil && q.Limited() && q.MilliCPU() < 1 {
			t.Errorf("%q: %+v", text, q)
		}
		_, _ = parseQuotaV1(text)
		_, _ = parseThrottle(text)
		for _, parse := range []func(string) (int64, error){parseWeight, parseShares} {
			if w, err := parse(text); err == nil && (w < 1 || w > maxWeight) {
				t.Fatalf("%q is a weight of %d", text, w)
			}
		}
	})
}
