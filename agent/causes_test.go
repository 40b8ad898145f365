package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// eleven fills a window of ten seconds with one VM of one vCPU; at tells what
// it had run and waited, and why, by each second.
func eleven(at func(s uint64, v *VMReading, c *VCPUReading)) *window {
	var w window
	for s := range uint64(11) {
		v := VMReading{Since: time.Unix(1, 0), VCPUs: []VCPUReading{{TID: 100}}}
		at(s, &v, &v.VCPUs[0])
		w.add(sample{reading: Reading{At: time.Duration(s) * time.Second, Listed: s%5 == 1, VMs: map[string]VMReading{vmID(0): v}}})
	}
	return &w
}

const ms = uint64(time.Millisecond)

// A vCPU that its own quota throttles six seconds of ten, and that waits one
// second behind another VM, steals 70 % in the guest's eyes; only 10 % are
// others' doing, and it wants no more than it got and that.
func TestQuotaIsNoContention(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) {
		c.RunNS, c.WaitNS = 300*ms*s, 700*ms*s
		c.Causes[bpf.CauseQuota], c.Causes[bpf.CauseVM] = 600*ms*s, 100*ms*s
	})
	l := w.load(facts(1))
	v := l.VMs[0]
	if v.Steal != 700_000 || v.Contention != 100_000 || v.ContentionMax != 100_000 || v.Demand != 400 {
		t.Errorf("VM: %+v", v)
	}
	if l.Steal != 700_000 || l.Contention != 100_000 || l.ContentionMax != 100_000 || l.Pain() != 100_000 {
		t.Errorf("host: steal %v, contention %v, worst %v", l.Steal, l.Contention, l.ContentionMax)
	}
	if d, ok := w.details(&gatherings{}, facts(1)).VM(0); !ok || d.Waits.Quota != 600 || d.Waits.VMs != 100 {
		t.Errorf("detail: %+v", d)
	}
}

// Without causes the whole wait counts as others' doing.
func TestWithoutCausesAllWaitIsContention(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) { c.RunNS, c.WaitNS = 300*ms*s, 700*ms*s })
	f := facts(1)
	f.source = cluster.SourceSchedstat
	l := w.load(f)
	if v := l.VMs[0]; v.Contention != 700_000 || v.Demand != 1000 {
		t.Errorf("%+v", v)
	}
	if d, ok := w.details(&gatherings{}, f).VM(0); !ok || d.Waits != nil || d.Culprits != nil {
		t.Errorf("details: %+v", d)
	}
}

// A vCPU that has been starving since before the window began has completed no
// wait. It suffers all the same.
func TestStarvingVCPUSuffers(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) { c.OpenWaitNS = 5000*ms + 1000*ms*s })
	l := w.load(facts(1))
	if v := l.VMs[0]; v.Steal != cluster.Whole || v.Contention != cluster.Whole || v.Demand != 1000 {
		t.Errorf("%+v", v)
	}
	if d, _ := w.details(&gatherings{}, facts(1)).VM(0); d.Waits == nil || d.Waits.Unattributed != 1000 {
		t.Errorf("%+v", d.Waits)
	}
}

// A wait of 15 s that ends in the window belongs to it only as far as it lay in
// it: 8 s of waiting, then 2 s of running.
func TestWaitThatEndsInTheWindow(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) {
		if s < 8 {
			c.OpenWaitNS = 7000*ms + 1000*ms*s
			return
		}
		c.WaitNS, c.OpenRunNS = 15_000*ms, 1000*ms*(s-8)
		c.Causes[bpf.CauseVM] = 15_000 * ms
	})
	l := w.load(facts(1))
	if v := l.VMs[0]; v.Wait != 800 || v.Run != 200 || v.Steal != 800_000 {
		t.Errorf("%+v", v)
	}
}

// A vCPU that is being throttled right now waits by its own quota.
func TestOpenThrottlingIsQuota(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) { c.OpenWaitNS, c.OpenQuotaNS = 1000*ms*s, 900*ms*s })
	l := w.load(facts(1))
	if v := l.VMs[0]; v.Steal != cluster.Whole || v.Contention != 100_000 {
		t.Errorf("%+v", v)
	}
	if d, _ := w.details(&gatherings{}, facts(1)).VM(0); d.Waits.Quota != 900 || d.Waits.Unattributed != 100 {
		t.Errorf("%+v", d.Waits)
	}
}

// The culprits of the window are named with their shares: a VM by its UUID,
// tasks of the host by their name, those of one name together, and a task that
// is gone not at all.
func TestCulpritsOfTheWindow(t *testing.T) {
	w := eleven(func(s uint64, v *VMReading, c *VCPUReading) {
		c.RunNS, c.WaitNS = 200*ms*s, 800*ms*s
		c.Causes[bpf.CauseVM], c.Causes[bpf.CauseHost] = 600*ms*s, 200*ms*s
		v.Culprits = []bpf.Culprit{
			{VM: vmID(7), WaitNS: 9000*ms + 400*ms*s},
			{VM: vmID(8), WaitNS: 200 * ms * s},
			{PID: 30, WaitNS: 60 * ms * s},
			{PID: 31, WaitNS: 100 * ms * s},
			{PID: 32, WaitNS: 40 * ms * s},
		}
	})
	f := facts(1)
	f.task = func(pid int) string { return map[int]string{30: "cc1", 31: "cc1"}[pid] }
	d, _ := w.details(&gatherings{}, f).VM(0)
	want := []cluster.Culprit{{VM: vmID(7), Share: 500_000}, {VM: vmID(8), Share: 250_000}, {Task: "cc1", Share: 200_000}}
	if !slices.Equal(d.Culprits, want) {
		t.Errorf("culprits %+v\nwant %+v", d.Culprits, want)
	}
}

// Few samples list culprits: shares are of what was waited between two that do,
// and one alone says nothing.
func TestCulpritsBetweenListings(t *testing.T) {
	w := eleven(func(s uint64, v *VMReading, c *VCPUReading) {
		c.WaitNS = 500*ms*s + 100*ms*s*s // not evenly
		c.Causes[bpf.CauseVM] = c.WaitNS
		if s%5 == 1 { // as eleven says
			v.Culprits = []bpf.Culprit{{VM: vmID(7), WaitNS: c.WaitNS / 2}}
		}
	})
	d, _ := w.details(&gatherings{}, facts(1)).VM(0)
	if want := []cluster.Culprit{{VM: vmID(7), Share: 500_000}}; !slices.Equal(d.Culprits, want) {
		t.Errorf("culprits %+v, want %+v", d.Culprits, want)
	}
	for s := range w.samples {
		w.samples[s].reading.Listed = s == 6
	}
	if d, _ := w.details(&gatherings{}, facts(1)).VM(0); len(d.Culprits) != 0 || d.Waits == nil {
		t.Errorf("by one listing: %+v", d)
	}
}

// Who enters a full list is not blamed for what it did before the window.
func TestCulpritThatEntersAFullList(t *testing.T) {
	var then, now VMReading
	for n := range bpf.MaxCulprits {
		then.Culprits = append(then.Culprits, bpf.Culprit{VM: vmID(n), WaitNS: 1000})
	}
	now.Culprits = []bpf.Culprit{{VM: vmID(99), WaitNS: 1100}}
	got := culprits(then, now, 1000, nil)
	if want := []cluster.Culprit{{VM: vmID(99), Share: 100_000}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// At most four are named, the largest; of equal ones always the same.
func TestFewCulpritsAreNamed(t *testing.T) {
	w := eleven(func(s uint64, v *VMReading, c *VCPUReading) {
		c.WaitNS, c.Causes[bpf.CauseVM] = 1000*ms*s, 1000*ms*s
		for n := range 9 {
			v.Culprits = append(v.Culprits, bpf.Culprit{VM: vmID(20 - n), WaitNS: 100 * ms * s})
		}
	})
	d, _ := w.details(&gatherings{}, facts(1)).VM(0)
	if len(d.Culprits) != cluster.MaxCulprits || d.Culprits[0].VM != vmID(12) || d.Culprits[3].VM != vmID(15) {
		t.Errorf("%+v", d.Culprits)
	}
}

// A VM that booted a moment ago is shown as it is, but is no reason to act.
func TestSettlingVMIsNoReason(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) { c.RunNS, c.WaitNS = 200*ms*s, 800*ms*s })
	f := facts(1)
	f.settling = func(vm string) bool { return vm == vmID(0) }
	l := w.load(f)
	if v := l.VMs[0]; !v.Settling || v.Contention != 800_000 || l.Steal != 800_000 || l.Pain() != 0 {
		t.Errorf("%+v, pain %v", v, l.Pain())
	}
}

func TestTaskNamesFit(t *testing.T) {
	for name, want := range map[string]string{
		"backup": "backup", "a\xffb": "a?b", strings.Repeat("é", 20): strings.Repeat("é", 8), "kworker/0:1H-kblockd": "kworker/0:1H-kbl",
	} {
		if got := comm(name); got != want {
			t.Errorf("comm(%q) = %q, want %q", name, got, want)
		}
	}
}

// Whatever is reported passes the State's bounds.
func TestFiguresPassTheBounds(t *testing.T) {
	w := eleven(func(s uint64, v *VMReading, c *VCPUReading) {
		c.RunNS, c.WaitNS, c.OpenWaitNS = 1<<40*s, 1<<40*s, 1<<35*s
		for cause := range c.Causes {
			c.Causes[cause] = 1 << 48 * s
		}
		v.Culprits = []bpf.Culprit{{VM: vmID(3), WaitNS: 1 << 55 * s}, {PID: 9, WaitNS: 1 << 55 * s}}
	})
	f := facts(1)
	f.task = func(pid int) string { return fmt.Sprint("task ", pid, " \xfe of a very long name") }
	l := w.load(f)
	if l.Contention > cluster.Whole || l.VMs[0].Contention > cluster.Whole || l.VMs[0].Absurd() != "" {
		t.Errorf("%+v", l)
	}
	for _, c := range w.details(&gatherings{}, f).VMs[0].Culprits {
		if c.Share > cluster.Whole || len(c.Task) > 16 {
			t.Errorf("%+v", c)
		}
	}
}

// Where the kernel does not tell the probe of throttling, the groups' accounts
// do: what they say is no contention, and is put down to the quota.
func TestQuotaByTheGroupsAccounts(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) {
		c.RunNS, c.WaitNS = 300*ms*s, 700*ms*s
		c.Causes[bpf.CauseIdle], c.Causes[bpf.CauseVM] = 350*ms*s, 350*ms*s
	})
	f := facts(1)
	f.throttled = func(_ string, span time.Duration) uint64 { return uint64(span) * 6 / 10 }
	v := w.load(f).VMs[0]
	if v.Steal != 700_000 || v.Contention != 100_000 || v.Demand != 400 {
		t.Errorf("%+v", v)
	}
	d, _ := w.details(&gatherings{}, f).VM(0)
	if d.Waits == nil || d.Waits.Quota != 600 || d.Waits.VMs != 50 || d.Waits.Idle != 50 {
		t.Errorf("%+v", d.Waits)
	}
	f.source = cluster.SourceSchedstat // which knows no causes at all
	for s := range w.samples {
		w.samples[s].reading.VMs[vmID(0)].VCPUs[0].Causes = bpf.Split{}
	}
	if v := w.load(f).VMs[0]; v.Contention != 100_000 || v.Demand != 400 {
		t.Errorf("by schedstat: %+v", v)
	}
}

// Where it does tell, the groups' accounts, which cannot know whose wait it
// was, are not asked.
func TestTheProbesThrottlingIsBelieved(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) {
		c.WaitNS, c.Causes[bpf.CauseVM] = 700*ms*s, 700*ms*s
	})
	for s := range w.samples {
		w.samples[s].reading.Throttling = true
	}
	f := facts(1)
	f.throttled = func(_ string, span time.Duration) uint64 { return uint64(span) }
	if v := w.load(f).VMs[0]; v.Contention != 700_000 {
		t.Errorf("%+v", v)
	}
}

// An idle guest whose vCPU spins half of its run time away wants only the rest.
func TestHaltPollingIsNoDemand(t *testing.T) {
	w := eleven(func(s uint64, _ *VMReading, c *VCPUReading) { c.RunNS = 400 * ms * s })
	f := facts(1)
	f.halted = func(_ string, span time.Duration) uint64 { return uint64(span) / 5 }
	if v := w.load(f).VMs[0]; v.Run != 400 || v.Demand != 200 {
		t.Errorf("%+v", v)
	}
}
