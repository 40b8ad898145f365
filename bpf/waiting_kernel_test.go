package bpf

import (
	"testing"
	"time"
)

// A busy thread's run is known while it lasts: what is completed and what is
// open lie together between two looks at the kernel's own account, and never
// fall. With the wait, that has not ended either, they never exceed the time
// that has passed.
func TestOpenRunsAreTheKernels(t *testing.T) {
	p := open(t)
	needOpen(t, p)
	b := startWorker(t, workBurn, 0, 1)
	b.freeze(t)
	base := accountOf(b.cmd.Process.Pid, b.tid)
	if err := p.Track(b.target("a")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.thaw()
	var last VCPU
	var longest uint64
	for time.Since(began) < 2*time.Second {
		before := accountOf(b.cmd.Process.Pid, b.tid)
		v := read(t, p).VMs["a"].VCPUs[0]
		after, passed := accountOf(b.cmd.Process.Pid, b.tid), time.Since(began)
		run := v.RunNS + v.OpenRunNS
		if run < before.execNS-base.execNS || run > after.execNS-base.execNS {
			t.Fatalf("ran %d+%d ns, the kernel says between %d and %d", v.RunNS, v.OpenRunNS, before.execNS-base.execNS, after.execNS-base.execNS)
		}
		// The clocks of waits and of runs differ by what interrupts take, and
		// both from ours by their rate.
		if sum := run + v.WaitNS + v.OpenWaitNS; sum > uint64(passed)+uint64(passed)/1000 {
			t.Fatalf("ran and waited for %d ns in %d", sum, passed)
		}
		neverFalls(t, last, v)
		last, longest = v, max(longest, v.OpenRunNS)
		time.Sleep(time.Millisecond)
	}
	t.Logf("the longest open run was %d ns; in all %d ns run, %d ns waited", longest, last.RunNS+last.OpenRunNS, last.WaitNS+last.OpenWaitNS)
	if longest == 0 {
		t.Error("no run was ever seen open")
	}
}

func needOpen(t *testing.T, p *Probes) {
	t.Helper()
	for _, f := range p.Features() {
		if f.Name == FeatureOpenWaits && !f.On {
			lacking(t, f.Why)
		}
	}
}

func neverFalls(t *testing.T, old, now VCPU) {
	t.Helper()
	if now.RunNS+now.OpenRunNS < old.RunNS+old.OpenRunNS || now.WaitNS+now.OpenWaitNS < old.WaitNS+old.OpenWaitNS {
		t.Fatalf("something fell: from run %d+%d, wait %d+%d to run %d+%d, wait %d+%d",
			old.RunNS, old.OpenRunNS, old.WaitNS, old.OpenWaitNS, now.RunNS, now.OpenRunNS, now.WaitNS, now.OpenWaitNS)
	}
	if now.OpenQuotaNS > now.OpenWaitNS {
		t.Fatalf("%d ns of %d ns of open wait are throttling", now.OpenQuotaNS, now.OpenWaitNS)
	}
}

// A thread that may run for 10 ms a second waits nearly all the time, and a
// reader sees that wait grow long before it ends, and what it is.
func TestOpenWaitsGrow(t *testing.T) {
	p := open(t)
	needOpen(t, p)
	g := cpuGroups(t).child(t, "evenkeel-test-open")
	if g.v2 {
		g.write(t, "cpu.max", "10000 1000000")
	} else {
		g.write(t, "cpu.cfs_period_us", "1000000")
		g.write(t, "cpu.cfs_quota_us", "10000")
	}
	b := startWorker(t, workBurn, 0, 1)
	g.add(t, b.cmd.Process.Pid)
	if err := p.Track(b.target("a")); err != nil {
		t.Fatal(err)
	}
	var last, longest VCPU
	grew := 0
	for range 150 {
		v := read(t, p).VMs["a"].VCPUs[0]
		neverFalls(t, last, v)
		if v.WaitNS == last.WaitNS && v.OpenWaitNS > last.OpenWaitNS {
			grew++
		}
		if v.OpenWaitNS > longest.OpenWaitNS {
			longest = v
		}
		last = v
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("grew %d times; longest open wait %d ns, %d ns of it throttling", grew, longest.OpenWaitNS, longest.OpenQuotaNS)
	if grew < 50 || longest.OpenWaitNS < 5e8 {
		t.Errorf("a wait of nearly a second was seen open with at most %d ns, and grew %d times", longest.OpenWaitNS, grew)
	}
	if quotaIsOn(t, p) && share(longest.OpenQuotaNS, longest.OpenWaitNS) < 0.9 {
		t.Errorf("%d ns of an open wait of %d ns are throttling", longest.OpenQuotaNS, longest.OpenWaitNS)
	}
}
