package bpf

import (
	"fmt"
	"testing"
	"time"
)

// One probe splits all waits, another beside it one in sixteen: their sums are
// the same, and the shares much alike.
func TestSampledIsLikeExact(t *testing.T) {
	exact, sampled := open(t), open(t)
	if err := sampled.SetLevel(LevelSampled); err != nil {
		t.Fatal(err)
	}
	var f fleet
	for i, work := range []string{workBurn, workPong, workPong} {
		b := startWorker(t, work, 0, 1)
		f.add(t, exact, fmt.Sprint("vm", i), b)
		f.add(t, sampled, fmt.Sprint("vm", i), b)
	}
	// A few long waits behind other work on the machine, sampled or not by
	// chance, say nothing about the sampling: a calm phase is judged.
	for range 10 {
		e0, s0 := read(t, exact), read(t, sampled)
		f.play(t, 3*time.Second)
		e1, s1 := read(t, exact), read(t, sampled)
		lawful(t, e1)
		if e1.Level != LevelExact || s1.Level != LevelSampled {
			t.Fatalf("levels %v and %v", e1.Level, s1.Level)
		}
		calm := true
		for _, victim := range []string{"vm1", "vm2"} { // those with many waits
			e, s := since(e1.VMs[victim], e0.VMs[victim]), since(s1.VMs[victim], s0.VMs[victim])
			t.Logf("%s: exact %s\n sampled %s", victim, shares(e), shares(s))
			if s.WaitNS == 0 || s.Causes.Total() != s.WaitNS || off(s.WaitNS, e.WaitNS) > 1e-3 {
				t.Fatalf("%s: exact %+v, sampled %+v", victim, e, s)
			}
			calm = calm && share(e.Causes[CauseHost], e.WaitNS) < 0.05
		}
		if calm {
			likeExact(t, e0, e1, s0, s1)
			return
		}
	}
	t.Fatal("the machine has so much other work that nothing can be told")
}

// likeExact compares what was waited behind each other in one phase.
func likeExact(t *testing.T, e0, e1, s0, s1 Reading) {
	t.Helper()
	for _, pair := range [][2]string{{"vm1", "vm0"}, {"vm1", "vm2"}, {"vm2", "vm0"}, {"vm2", "vm1"}} {
		victim, culprit := pair[0], pair[1]
		want := behind(e1.VMs[victim], culprit) - behind(e0.VMs[victim], culprit)
		got := behind(s1.VMs[victim], culprit) - behind(s0.VMs[victim], culprit)
		t.Logf("%s behind %s: exact %d, sampled %d ns", victim, culprit, want, got)
		if want < 1e8 || off(got, want) > 0.5 {
			t.Errorf("%s behind %s: exact %d, sampled %d ns", victim, culprit, want, got)
		}
	}
}

// Without books every wait is unattributed; when they are kept again, what
// passed in between is not put down to whoever ran last.
func TestSumsOnly(t *testing.T) {
	p := open(t)
	var f fleet
	for i := range 2 {
		f.add(t, p, fmt.Sprint("vm", i), startWorker(t, workBurn, 0, 1))
	}
	f.play(t, 200*time.Millisecond)
	phase := func(l Level) Counters {
		if err := p.SetLevel(l); err != nil {
			t.Fatal(err)
		}
		r0 := read(t, p)
		f.play(t, time.Second)
		r1 := read(t, p)
		lawful(t, r1)
		c := since(r1.VMs["vm0"], r0.VMs["vm0"])
		t.Logf("%v: waited %d ns: %s", l, c.WaitNS, shares(c))
		if c.WaitNS == 0 {
			t.Fatal("nobody waited")
		}
		return c
	}
	if c := phase(LevelSums); c.Causes[CauseUnattributed] != c.WaitNS {
		t.Errorf("something was attributed: %s", shares(c))
	}
	if c := phase(LevelExact); c.Causes[CauseVM] == 0 || share(c.Causes[CauseUnattributed], c.WaitNS) > 0.05 {
		t.Errorf("once more exact: %s", shares(c))
	}
	if err := p.SetLevel(levels); err == nil {
		t.Error("a level that does not exist")
	}
}

// The program counts and times its own runs, and does nothing at all while no
// VM is tracked.
func TestCostIsMetered(t *testing.T) {
	p := open(t)
	if c := read(t, p).Cost; c.Runs != 0 {
		t.Errorf("it ran before there was a VM: %+v", c)
	}
	b := startWorker(t, workPong, 0, 1)
	if err := p.Track(b.target("a")); err != nil {
		t.Fatal(err)
	}
	b.thaw()
	time.Sleep(2 * time.Second)
	c := read(t, p).Cost
	t.Logf("%d runs, %d timed, %.0f ns each, %d missed", c.Runs, c.Timed, c.PerRunNS(), c.Missed)
	if c.Runs < TimedOneIn || c.Timed == 0 || c.Timed > c.Runs/TimedOneIn {
		t.Errorf("%d runs, %d of them timed", c.Runs, c.Timed)
	}
	if ns := c.PerRunNS(); ns <= 0 || ns > 1e5 || c.TotalNS() < ns {
		t.Errorf("%.0f ns a run", ns)
	}
	p.Untrack("a")
	before := read(t, p).Cost
	time.Sleep(100 * time.Millisecond)
	if d := read(t, p).Cost.Sub(before); d.Runs > 2 { // one that had begun
		t.Errorf("%d runs without a VM", d.Runs)
	}
}

// What the verifier has to look at, so that growth is seen: it gives up at a
// million instructions, and older ones see more states than this one.
func TestVerifiedInstructions(t *testing.T) {
	p := open(t)
	bounds := map[string]uint32{switchProgram: 60000, migrateProgram: 60000, openProgram: 1000}
	for name, prog := range p.coll.Programs {
		info, err := prog.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, ok := info.VerifiedInstructions()
		t.Logf("%s: %d verified instructions (known: %v)", name, n, ok)
		if n > bounds[name] {
			t.Errorf("%s: %d verified instructions, at most %d expected", name, n, bounds[name])
		}
	}
}
