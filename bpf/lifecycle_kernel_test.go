package bpf

import (
	"fmt"
	"testing"
	"time"
)

// fell names a counter that is lower than it was.
func fell(old, now Counters) string {
	if now.RunNS < old.RunNS || now.WaitNS < old.WaitNS || now.Waits < old.Waits {
		return fmt.Sprintf("from run %d, wait %d, waits %d to %d, %d, %d", old.RunNS, old.WaitNS, old.Waits, now.RunNS, now.WaitNS, now.Waits)
	}
	for i := range now.Latency {
		if now.Latency[i] < old.Latency[i] {
			return fmt.Sprintf("bucket %d", i)
		}
	}
	for i := range now.Causes {
		if now.Causes[i] < old.Causes[i] {
			return fmt.Sprintf("cause %v, from %d to %d", Cause(i), old.Causes[i], now.Causes[i])
		}
	}
	return ""
}

// noneFell holds a reading against the one before.
func noneFell(t *testing.T, old, now Reading) {
	t.Helper()
	for id, v := range now.VMs {
		before, known := old.VMs[id]
		if !known || !before.Since.Equal(v.Since) {
			continue
		}
		for role := range v.Roles {
			if what := fell(before.Roles[role], v.Roles[role]); what != "" {
				t.Fatalf("%s: %v fell: %s", id, Role(role), what)
			}
			if c := v.Roles[role]; c.Causes.Total() != c.WaitNS {
				t.Fatalf("%s: %v waited %d ns, parts sum to %d", id, Role(role), c.WaitNS, c.Causes.Total())
			}
		}
		if what := fell(before.Total(), v.Total()) + fell(before.Others, v.Others); what != "" {
			t.Fatalf("%s fell: %s", id, what)
		}
		if v.Total() != v.Roles[RoleVCPU] {
			t.Fatalf("%s: total %+v, vCPUs by role %+v", id, v.Total(), v.Roles[RoleVCPU])
		}
	}
}

// VMs come and go, and their threads with them, while counters are read: none
// falls, parts sum up at every moment, and in the end all places are free.
func TestChurn(t *testing.T) {
	const threads, vms = 64, 4
	p, err := Open(Options{MaxThreads: threads, MaxVMs: vms})
	if err != nil {
		open(t) // skips or fails with the reason
		t.Fatal(err)
	}
	defer p.Close()
	now := time.Now()
	p.now = func() time.Time { return now }
	var procs [3]*burner
	var last Reading
	refused := 0
	for round := range 400 {
		i := round % len(procs)
		if b := procs[i]; b != nil && round%40 == i {
			b.stop()
			p.Untrack(fmt.Sprint("vm", i))
			procs[i] = nil
		}
		if procs[i] == nil {
			procs[i] = startWorker(t, workRun, 0, 0, 1)
		}
		// The places for threads may run out now and then: the births are many.
		if err := p.Track(procs[i].target(fmt.Sprint("vm", i))); err != nil {
			refused++
		}
		now = now.Add(indexRestFor / 2)
		r := read(t, p)
		noneFell(t, last, r)
		last = r
		time.Sleep(5 * time.Millisecond)
	}
	var ran uint64
	for i := range procs {
		ran += last.VMs[fmt.Sprint("vm", i)].Others.RunNS
	}
	t.Logf("the last three ran %d ns; absurd %d, foreign %d, missed %d, %d times refused", ran, last.Absurd, last.Foreign, last.Missed, refused)
	if ran == 0 || last.Absurd != 0 {
		t.Errorf("ran %d ns, absurd %d", ran, last.Absurd)
	}
	for _, vm := range p.Tracked() {
		p.Untrack(vm)
	}
	if len(p.free)+len(p.resting) != threads || len(p.index.free)+len(p.index.resting) != vms {
		t.Errorf("free places: %d and %d resting for threads, %d and %d for VMs", len(p.free), len(p.resting), len(p.index.free), len(p.index.resting))
	}
}

// A VM that gets the place of one that left inherits nothing: neither what
// others waited behind that one, nor what that one waited.
func TestPlacesAreClearedBeforeReuse(t *testing.T) {
	p, err := Open(Options{MaxThreads: 64, MaxVMs: 2})
	if err != nil {
		open(t) // skips or fails with the reason
		t.Fatal(err)
	}
	defer p.Close()
	now := time.Now()
	p.now = func() time.Time { return now }
	var f fleet
	f.add(t, p, "stays", startWorker(t, workBurn, 0, 1))
	f.add(t, p, "leaves", startWorker(t, workBurn, 0, 1))
	f.play(t, time.Second)
	r := read(t, p)
	old := behind(r.VMs["stays"], "leaves")
	if old < 1e8 || behind(r.VMs["leaves"], "stays") < 1e8 {
		t.Fatalf("they did not wait for each other: %+v", r.VMs)
	}
	p.Untrack("leaves")
	third := startWorker(t, workBurn, 500*time.Millisecond, 1)
	if err := p.Track(third.target("comes")); err == nil {
		t.Error("a place that the books still name was given away")
	}
	now = now.Add(indexRestFor)
	if err := p.Track(third.target("comes")); err != nil {
		t.Fatal(err)
	}
	r = read(t, p)
	if got := behind(r.VMs["stays"], "comes"); got != 0 {
		t.Errorf("the newcomer is blamed for %d ns", got)
	}
	if c := r.VMs["comes"].Culprits; len(c) != 0 {
		t.Errorf("the newcomer waited behind %+v", c)
	}
	if c := r.VMs["stays"].Total(); c.Causes[CauseVM] < old {
		t.Errorf("what was waited behind the one that left fell from %d to %d", old, c.Causes[CauseVM])
	}
}

// A thread that turns out to be a vCPU, an I/O thread, or to belong to another
// process of the same id, is counted as that from then on; nothing falls.
func TestRolesAndReuse(t *testing.T) {
	p := open(t)
	b := startWorker(t, workBurn, 0, 1)
	startWorker(t, workBurn, 0, 1)
	pid := b.cmd.Process.Pid
	track := func(th Thread) Reading {
		t.Helper()
		if err := p.Track(Target{VM: "a", PID: pid, Threads: []Thread{th}}); err != nil {
			t.Fatal(err)
		}
		b.thaw()
		time.Sleep(300 * time.Millisecond)
		b.freeze(t)
		return read(t, p)
	}
	b.freeze(t)
	th := Thread{TID: b.tid, Start: 1, VCPU: -1}
	last := Reading{}
	for step, change := range []func(){
		func() {},
		func() { th.Role = RoleIO },
		func() { th.VCPU = 3 },
		func() { th.Start = 2 }, // another thread with its id
		func() { th.VCPU, th.Role, th.Start = -1, RoleVhost, 3 },
	} {
		change()
		r := track(th)
		noneFell(t, last, r)
		v := r.VMs["a"]
		role := th.role()
		if grown := v.Roles[role].RunNS - last.VMs["a"].Roles[role].RunNS; grown == 0 {
			t.Errorf("step %d: %v ran nothing", step, role)
		}
		if role == RoleVCPU && (len(v.VCPUs) != 1 || v.VCPUs[0].Number != 3) {
			t.Errorf("step %d: vCPUs %+v", step, v.VCPUs)
		}
		last = r
	}
}

// Five hundred VMs with four threads each: the two that run are found among
// them, and each other's culprits whatever their places.
func TestHundredsOfVMs(t *testing.T) {
	p, err := Open(Options{})
	if err != nil {
		open(t) // skips or fails with the reason
		t.Fatal(err)
	}
	defer p.Close()
	var f fleet
	f.add(t, p, "first", startWorker(t, workBurn, 0, 1))
	for i := range 500 {
		target := Target{VM: fmt.Sprint("idle", i), PID: 20000 + 4*i}
		for n := range 4 { // ids that nobody has, as far as that can be known
			target.Threads = append(target.Threads, Thread{TID: 20000 + 4*i + n, VCPU: n})
		}
		if err := p.Track(target); err != nil {
			t.Fatal(err)
		}
	}
	f.add(t, p, "last", startWorker(t, workBurn, 0, 1))
	f.play(t, time.Second)
	began := time.Now()
	r := read(t, p)
	t.Logf("read %d VMs in %v", len(r.VMs), time.Since(began))
	lawful(t, r)
	if a, b := behind(r.VMs["first"], "last"), behind(r.VMs["last"], "first"); len(r.VMs) != 502 || a < 1e8 || b < 1e8 {
		t.Errorf("%d VMs; waited %d ns and %d ns for each other", len(r.VMs), a, b)
	}
}

// A worker that is a process by itself, as vhost's were before 6.4, counts for
// the VM that it serves.
func TestThreadOfAnotherProcess(t *testing.T) {
	p := open(t)
	b := startWorker(t, workBurn, 0, 1)
	pid := b.cmd.Process.Pid
	th := Thread{TID: b.tid, Start: 1, VCPU: -1, Role: RoleVhost, PID: pid}
	if err := p.Track(Target{VM: "a", PID: pid + 1, Threads: []Thread{th}}); err != nil {
		t.Fatal(err)
	}
	b.thaw()
	time.Sleep(200 * time.Millisecond)
	b.freeze(t)
	r := read(t, p)
	if v := r.VMs["a"]; v.Roles[RoleVhost].RunNS == 0 || r.Foreign != 0 {
		t.Errorf("ran %d ns, foreign %d", v.Roles[RoleVhost].RunNS, r.Foreign)
	}
}
