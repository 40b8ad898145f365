package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

func (b *burner) target(vm string) Target {
	return Target{VM: vm, PID: b.cmd.Process.Pid, Threads: threadsOf(b.cmd.Process.Pid, b.tids...)}
}

// threadsOf lists a process's threads, with those named as its vCPUs.
func threadsOf(pid int, vcpus ...int) []Thread {
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	var out []Thread
	for _, d := range dirs {
		tid, _ := strconv.Atoi(filepath.Base(d))
		out = append(out, Thread{TID: tid, Start: 1, VCPU: slices.Index(vcpus, tid)})
	}
	return out
}

// schedstat is the kernel's own account of the busy thread.
func (b *burner) schedstat(t *testing.T) (run, wait, slices uint64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", b.cmd.Process.Pid, b.tid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &run, &wait, &slices); err != nil {
		t.Fatal(err)
	}
	return run, wait, slices
}

func open(t *testing.T) *Probes {
	t.Helper()
	p, err := Open(Options{MaxThreads: 256})
	if err != nil {
		if strings.Contains(os.Getenv("EVENKEEL_REQUIRE"), "bpf") {
			t.Fatal(err)
		}
		t.Skip("no probe here: ", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func read(t *testing.T, p *Probes) Reading {
	t.Helper()
	r, err := p.ReadCulprits()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// off is how far a is from b as a share of b.
func off(a, b uint64) float64 {
	d := float64(a) - float64(b)
	return max(d, -d) / max(float64(b), 1)
}

// Four threads fight for one CPU. Between two standstills the probe's sums,
// counts and runs are the kernel's own; an untracked fifth counts for nobody;
// once detached, the same comparison fails.
func TestSumsAreTheKernels(t *testing.T) {
	p := open(t)
	var all []*burner
	for i, sleep := range []time.Duration{0, 0, 5 * time.Millisecond, time.Millisecond} {
		b := startBurner(t, sleep)
		b.freeze(t)
		if err := p.Track(b.target(fmt.Sprint("vm", i))); err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	startBurner(t, 0)
	type figures struct{ run, wait, slices uint64 }
	phase := func() (worst float64, counts bool, seen uint64) {
		before, r0 := make([]figures, len(all)), read(t, p)
		for i, b := range all {
			before[i].run, before[i].wait, before[i].slices = b.schedstat(t)
		}
		for _, b := range all {
			b.thaw()
		}
		time.Sleep(2 * time.Second)
		for _, b := range all {
			b.freeze(t)
		}
		r1 := read(t, p)
		counts = true
		for i, b := range all {
			run, wait, slices := b.schedstat(t)
			old, now := vcpu(r0, i), vcpu(r1, i)
			wantWait, wantSlices := wait-before[i].wait, slices-before[i].slices
			waited, ran, n := now.WaitNS-old.WaitNS, now.RunNS-old.RunNS, now.Waits-old.Waits
			hist := now.Latency.Sub(old.Latency).Count()
			t.Logf("vm%d: wait %d ns, kernel %d; run %d ns, kernel %d; waits %d, histogram %d, kernel %d", i, waited, wantWait, ran, run-before[i].run, n, hist, wantSlices)
			worst = max(worst, off(waited, wantWait))
			counts = counts && n == wantSlices && hist == n
			seen += n
		}
		t.Logf("%d switches passed without the probe being called", r1.Missed-r0.Missed)
		return worst, counts, seen
	}
	phase() // the baselines are set by each thread's first switch
	worst, counts, seen := phase()
	if worst > 1e-4 || !counts || seen == 0 {
		t.Errorf("the worst sum is off by %.6f %%, counts equal %v, %d waits seen", worst*100, counts, seen)
	}
	if r := read(t, p); r.Absurd != 0 || r.Foreign != 0 || len(r.VMs) != len(all) {
		t.Errorf("absurd %d, foreign %d, %d VMs", r.Absurd, r.Foreign, len(r.VMs))
	}
	if err := p.Detach(); err != nil {
		t.Fatal(err)
	}
	if worst, counts, _ := phase(); worst < 0.5 || counts {
		t.Errorf("without the probe the sums still agree (%.4f %%, counts %v): the comparison proves nothing", worst*100, counts)
	}
}

func vcpu(r Reading, i int) Counters {
	v := r.VMs[fmt.Sprint("vm", i)]
	if len(v.VCPUs) != 1 {
		return Counters{}
	}
	return v.VCPUs[0].Counters
}

// When a thread ends, what it counted stays in the VM's sums, and its slot
// serves the next thread with clean counters.
func TestEndedThreadsAreFolded(t *testing.T) {
	p := open(t)
	rival := startBurner(t, 0)
	b := startBurner(t, 0)
	if err := errors.Join(p.Track(b.target("a")), p.Track(rival.target("rival"))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	b.freeze(t)
	before := read(t, p).VMs["a"].Total()
	if before.Waits == 0 || before.RunNS == 0 {
		t.Fatalf("nothing was counted: %+v", before)
	}
	pid := b.cmd.Process.Pid
	b.thaw()
	b.stop()
	if err := p.Track(Target{VM: "a", PID: pid}); err != nil {
		t.Fatal(err)
	}
	v := read(t, p).VMs["a"]
	if len(v.VCPUs) != 0 || v.Total().WaitNS < before.WaitNS || v.Total().RunNS < before.RunNS {
		t.Errorf("before %+v, after %+v", before, v)
	}
	p.Untrack("a")
	if got := p.Tracked(); len(got) != 1 || got[0] != "rival" {
		t.Errorf("tracked %v", got)
	}
}

// A thread id that passed to another process is nobody's: the record names
// the process that it means.
func TestForeignThreadIsNotCounted(t *testing.T) {
	p := open(t)
	b := startBurner(t, 0)
	if err := p.Track(Target{VM: "a", PID: b.cmd.Process.Pid + 1, Threads: []Thread{{TID: b.tid, VCPU: 0}}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	r := read(t, p)
	if c := r.VMs["a"].Total(); c.RunNS != 0 || c.Waits != 0 {
		t.Errorf("counted %+v", c)
	}
	if r.Foreign == 0 {
		t.Error("and it was not noticed either")
	}
}

// Two daemons on one kernel, as in the lab: each has its own probe and maps.
func TestTwoProbesOnOneKernel(t *testing.T) {
	p, q := open(t), open(t)
	a, b := startBurner(t, 0), startBurner(t, 0)
	if err := errors.Join(p.Track(a.target("a")), q.Track(b.target("b"))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	rp, rq := read(t, p), read(t, q)
	if len(rp.VMs) != 1 || len(rq.VMs) != 1 || rp.VMs["a"].Total().Waits == 0 || rq.VMs["b"].Total().Waits == 0 {
		t.Errorf("first %+v, second %+v", rp, rq)
	}
}

func TestSlotsRunOut(t *testing.T) {
	p, err := Open(Options{MaxThreads: 1})
	if err != nil {
		open(t) // skips or fails with the reason
		t.Fatal(err)
	}
	defer p.Close()
	err = p.Track(Target{VM: "a", PID: 1, Threads: []Thread{{TID: 10}, {TID: 11}}})
	if err == nil || !strings.Contains(err.Error(), "MaxThreads") {
		t.Errorf("a second thread in one slot: %v", err)
	}
	if err := p.Track(Target{VM: "b", PID: 1, Threads: []Thread{{TID: 1 << 23}}}); err == nil {
		t.Error("a thread id beyond the table")
	}
}

// The kernel's bucket is Go's bucket.
func TestBucketInTheKernel(t *testing.T) {
	open(t)
	spec, err := loadSched()
	if err != nil {
		t.Fatal(err)
	}
	for name := range spec.Programs {
		if name != "ek_bucket_of" {
			delete(spec.Programs, name)
		}
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	check := func(ns uint64) {
		packet := binary.LittleEndian.AppendUint64(make([]byte, 14), ns) // after an Ethernet header
		got, err := coll.Programs["ek_bucket_of"].Run(&ebpf.RunOptions{Data: packet})
		if err != nil {
			t.Fatal(err)
		}
		if want := Bucket(time.Duration(ns)); int(got) != want {
			t.Fatalf("bucket of %d ns is %d in the kernel, %d in Go", ns, got, want)
		}
	}
	for i := range Buckets - 1 {
		at := uint64(UpperBound(i) * 1e9)
		for d := range uint64(4) {
			check(at - 2 + d)
		}
	}
	for range 2000 {
		check(rand.Uint64N(1 << (1 + rand.UintN(40))))
	}
}
