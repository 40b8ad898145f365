package bpf

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// group is a cgroup of the cpu controller, of either version.
type group struct {
	dir string
	v2  bool
}

// cpuGroups finds where the cpu controller is.
func cpuGroups(t *testing.T) group {
	t.Helper()
	const root = "/sys/fs/cgroup"
	if text, err := os.ReadFile(root + "/cgroup.controllers"); err == nil && slices.Contains(strings.Fields(string(text)), "cpu") {
		return group{root, true}
	}
	for _, dir := range []string{root + "/cpu", root + "/cpu,cpuacct"} {
		if _, err := os.Stat(dir + "/cpu.cfs_quota_us"); err == nil {
			return group{dir, false}
		}
	}
	lacking(t, "no cpu controller with quotas below "+root)
	return group{}
}

// lacking skips a test, unless it is required here.
func lacking(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("EVENKEEL_REQUIRE"), ","), "bpf") {
		t.Fatal(why)
	}
	t.Skip(why)
}

func (g group) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// child makes a group below, and removes it in the end.
func (g group) child(t *testing.T, name string) group {
	t.Helper()
	c := g.mkdir(t, name)
	if g.v2 {
		g.write(t, "cgroup.subtree_control", "+cpu")
	}
	return c
}

// leaf makes a group below for threads of a process that is in this one.
func (g group) leaf(t *testing.T, name string) group {
	t.Helper()
	c := g.mkdir(t, name)
	if g.v2 {
		c.write(t, "cgroup.type", "threaded")
		g.write(t, "cgroup.subtree_control", "+cpu")
	}
	return c
}

func (g group) addThread(t *testing.T, tid int) {
	t.Helper()
	file := "tasks"
	if g.v2 {
		file = "cgroup.threads"
	}
	g.write(t, file, strconv.Itoa(tid))
}

// weigh gives the group the greatest weight that there is, so that it uses its
// quota up: what competes with it may be a session's autogroup of any niceness.
func (g group) weigh(t *testing.T) {
	t.Helper()
	if g.v2 {
		g.write(t, "cpu.weight", "10000")
		return
	}
	g.write(t, "cpu.shares", "262144")
}

func (g group) mkdir(t *testing.T, name string) group {
	t.Helper()
	c := group{filepath.Join(g.dir, name), g.v2}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the processes have ended, but may still be leaving
		var err error
		for range 1000 {
			if err = syscall.Rmdir(c.dir); err == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Errorf("remove %s: %v", c.dir, err)
	})
	return c
}

// limit lets the group run for so long in each 100 ms.
func (g group) limit(t *testing.T, d time.Duration) {
	t.Helper()
	if g.v2 {
		g.write(t, "cpu.max", fmt.Sprint(d.Microseconds(), " 100000"))
		return
	}
	g.write(t, "cpu.cfs_period_us", "100000")
	g.write(t, "cpu.cfs_quota_us", fmt.Sprint(d.Microseconds()))
}

func (g group) add(t *testing.T, pid int) {
	t.Helper()
	g.write(t, "cgroup.procs", strconv.Itoa(pid))
}

// throttled is what the kernel counted in cpu.stat or cpu.stat.local.
func (g group) throttled(t *testing.T, file string) uint64 {
	t.Helper()
	f, err := os.Open(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var name string
		var n uint64
		if _, err := fmt.Sscan(lines.Text(), &name, &n); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "throttled_time":
			return n
		case "throttled_usec":
			return n * 1000
		}
	}
	t.Fatalf("%s/%s tells no throttled time", g.dir, file)
	return 0
}

// quotaIsOn says whether throttling is told apart here; where it is not, none
// may be shown.
func quotaIsOn(t *testing.T, p *Probes) bool {
	t.Helper()
	i := slices.IndexFunc(p.Features(), func(f Feature) bool { return f.Name == FeatureQuota })
	f := p.Features()[i]
	t.Logf("quota: on %v, %s", f.On, f.Why)
	if !f.On && !strings.Contains(f.Why, "approximate") {
		t.Errorf("no quota, and nothing says that the rest is approximate: %+v", f)
	}
	return f.On
}

// One thread under a quota, with a rival on its CPU: the throttled part of its
// wait is what its group's account says.
func TestQuotaOfOneThread(t *testing.T) {
	p := open(t)
	g := cpuGroups(t).child(t, "evenkeel-test-one")
	g.limit(t, 30*time.Millisecond)
	g.weigh(t)
	var f fleet
	f.add(t, p, "capped", startWorker(t, workBurn, 0, 1))
	f.add(t, p, "rival", startWorker(t, workBurn, 0, 1))
	g.add(t, f.procs[0].cmd.Process.Pid)
	f.play(t, 300*time.Millisecond)
	r0, t0 := read(t, p), g.throttled(t, "cpu.stat")
	f.play(t, 4*time.Second)
	r1, t1 := read(t, p), g.throttled(t, "cpu.stat")
	lawful(t, r1)
	c := since(r1.VMs["capped"], r0.VMs["capped"])
	t.Logf("waited %d ns, the group was throttled for %d ns: %s", c.WaitNS, t1-t0, shares(c))
	if t1-t0 < 1e8 {
		t.Fatalf("the group was throttled for %d ns only", t1-t0)
	}
	checkQuota(t, p, c, t1-t0)
	if c := since(r1.VMs["rival"], r0.VMs["rival"]); c.Causes[CauseQuota] != 0 {
		t.Errorf("the rival has no quota and is said to have waited for it %d ns", c.Causes[CauseQuota])
	}
}

func checkQuota(t *testing.T, p *Probes, c Counters, truth uint64) {
	t.Helper()
	if !quotaIsOn(t, p) {
		if c.Causes[CauseQuota] != 0 {
			t.Errorf("%d ns of throttling on a kernel that does not tell", c.Causes[CauseQuota])
		}
		return
	}
	got := c.Causes[CauseQuota]
	t.Logf("throttled %d ns, truth %d ns: %.2f %% off", got, truth, 100*off(got, truth))
	if off(got, truth) > 0.03 {
		t.Errorf("throttled %d ns, truth %d ns", got, truth)
	}
}

// Two vCPUs share one quota, each on a CPU of its own, one of them beside an
// outsider. What each is throttled is its own leaf's account, as libvirt makes
// them: the quota stands at the parent.
func TestQuotaOfTwoThreads(t *testing.T) {
	p := open(t)
	parent := cpuGroups(t).child(t, "evenkeel-test-two")
	parent.limit(t, 80*time.Millisecond)
	parent.weigh(t) // else the outsider leaves it next to nothing, and no quota to exhaust
	leaves := []group{parent.leaf(t, "vcpu0"), parent.leaf(t, "vcpu1")}
	var f fleet
	f.add(t, p, "pair", startWorker(t, workPair, 0, 0, 1))
	f.add(t, p, "outsider", startWorker(t, workBurn, 0, 1))
	parent.add(t, f.procs[0].cmd.Process.Pid)
	for i, tid := range f.procs[0].tids {
		leaves[i].addThread(t, tid)
	}
	local := quotaIsOn(t, p)
	truth := func() (sum uint64, each [2]uint64) {
		if local {
			for i, leaf := range leaves {
				each[i] = leaf.throttled(t, "cpu.stat.local")
			}
		}
		return parent.throttled(t, "cpu.stat"), each
	}
	f.play(t, 300*time.Millisecond)
	r0 := read(t, p).VMs["pair"]
	sum0, each0 := truth()
	f.play(t, 4*time.Second)
	r := read(t, p)
	lawful(t, r)
	r1 := r.VMs["pair"]
	sum1, each1 := truth()
	total := since(r1, r0)
	t.Logf("missed %d, runs missed %d", r.Missed, r.Cost.Missed)
	t.Logf("the group was throttled for %d ns: %s", sum1-sum0, shares(total))
	// The parent's account runs on while none of the vCPUs wants to run.
	if got := total.Causes[CauseQuota]; share(got, sum1-sum0) > 1.03 {
		t.Errorf("throttled %d ns, the whole group %d ns", got, sum1-sum0)
	}
	for i := range leaves {
		a, b := r1.VCPUs[i].Counters, r0.VCPUs[i].Counters
		for c := range a.Causes {
			a.Causes[c] -= b.Causes[c]
		}
		a.WaitNS -= b.WaitNS
		t.Logf("vCPU %d: ran %d ns, waited %d ns: %s", i, a.RunNS-b.RunNS, a.WaitNS, shares(a))
		if local {
			checkQuota(t, p, a, each1[i]-each0[i])
		}
	}
}
