package bpf

import (
	"fmt"
	"testing"
	"time"
)

// ran is what all threads of a process have run, by the kernel's account.
func (b *burner) ran(t *testing.T) (ns uint64) {
	t.Helper()
	for _, th := range threadsOf(b.cmd.Process.Pid) {
		ns += accountOf(b.cmd.Process.Pid, th.TID).execNS
	}
	return ns
}

// fleet is some processes that each play a VM.
type fleet struct {
	names []string
	procs []*burner
}

func (f *fleet) add(t *testing.T, p *Probes, name string, b *burner) {
	t.Helper()
	b.freeze(t)
	if err := p.Track(b.target(name)); err != nil {
		t.Fatal(err)
	}
	f.names, f.procs = append(f.names, name), append(f.procs, b)
}

// play lets all run for a while between two standstills. They stop at once:
// whoever ran on after another had stopped would be missing from its waits.
func (f *fleet) play(t *testing.T, d time.Duration) {
	t.Helper()
	for _, b := range f.procs {
		b.thaw()
	}
	time.Sleep(d)
	for _, b := range f.procs {
		b.halt(t)
	}
	for _, b := range f.procs {
		b.freeze(t)
	}
}

func (f *fleet) ran(t *testing.T) []uint64 {
	t.Helper()
	var out []uint64
	for _, b := range f.procs {
		out = append(out, b.ran(t))
	}
	return out
}

// since is what a VM counted between two readings.
func since(now, old VM) Counters {
	a, b := now.Total(), old.Total()
	a.RunNS -= b.RunNS
	a.WaitNS -= b.WaitNS
	a.Waits -= b.Waits
	a.Latency = a.Latency.Sub(b.Latency)
	for c := range a.Causes {
		a.Causes[c] -= b.Causes[c]
	}
	return a
}

func behind(v VM, culprit string) uint64 {
	for _, c := range v.Culprits {
		if c.VM == culprit {
			return c.WaitNS
		}
	}
	return 0
}

// lawful checks what holds at every standstill: a wait is the sum of its
// parts, and the part behind other VMs is the sum of those.
func lawful(t *testing.T, r Reading) {
	t.Helper()
	for id, v := range r.VMs {
		total := v.Total()
		if total.Causes.Total() != total.WaitNS {
			t.Errorf("%s: the parts sum to %d, the wait is %d ns", id, total.Causes.Total(), total.WaitNS)
		}
		var others uint64
		for _, c := range v.Culprits {
			if c.VM != "" {
				others += c.WaitNS
			}
		}
		if others != total.Causes[CauseVM] {
			t.Errorf("%s: culprits' %d ns, waited behind VMs %d ns: %+v", id, others, total.Causes[CauseVM], v.Culprits)
		}
	}
}

func share(part, whole uint64) float64 { return float64(part) / float64(max(whole, 1)) }

// Two busy VMs and two that play ping-pong share one CPU. A busy one is
// runnable all the time, so it waits behind each other one for exactly as long
// as that runs, which the kernel accounts.
func TestCulpritsAreWhoRan(t *testing.T) {
	p := open(t)
	var f fleet
	for i, work := range []string{workBurn, workBurn, workPong, workPong} {
		f.add(t, p, fmt.Sprint("vm", i), startWorker(t, work, 0, 1))
	}
	f.play(t, 200*time.Millisecond) // fills the books
	r0, ran0 := read(t, p), f.ran(t)
	f.play(t, 4*time.Second)
	r1, ran1 := read(t, p), f.ran(t)
	lawful(t, r1)
	for v := range 2 {
		victim := f.names[v]
		c := since(r1.VMs[victim], r0.VMs[victim])
		t.Logf("%s: waited %d ns: %s", victim, c.WaitNS, shares(c))
		for k, name := range f.names {
			if k == v {
				continue
			}
			truth := ran1[k] - ran0[k]
			got := behind(r1.VMs[victim], name) - behind(r0.VMs[victim], name)
			t.Logf("  behind %s %d ns, which ran %d ns: %.3f %% off", name, got, truth, off(got, truth)*100)
			if truth < 1e8 || off(got, truth) > 0.03 {
				t.Errorf("%s waited %d ns behind %s, which ran %d ns", victim, got, name, truth)
			}
		}
	}
	for _, name := range f.names {
		c := since(r1.VMs[name], r0.VMs[name])
		lost := c.Causes[CauseUnattributed] + c.Causes[CauseMigrated]
		t.Logf("%s: waited %d ns: %s", name, c.WaitNS, shares(c))
		if c.WaitNS == 0 || share(lost, c.WaitNS) > 0.005 {
			t.Errorf("%s: %d of %d ns unattributed", name, lost, c.WaitNS)
		}
	}
}

func shares(c Counters) (s string) {
	for cause, ns := range c.Causes {
		if ns > 0 {
			s += fmt.Sprintf(" %s %.2f %%", Cause(cause), 100*share(ns, c.WaitNS))
		}
	}
	return s
}

// The same on two CPUs, and nobody is pinned: what cannot be attributed since
// the thread moved while it waited stays small.
func TestCulpritsAcrossCPUs(t *testing.T) {
	p := open(t)
	var f fleet
	for i, work := range []string{workBurn, workBurn, workBurn, workPong, workPong} {
		f.add(t, p, fmt.Sprint("vm", i), startWorker(t, work, 0, 0, 1))
	}
	f.play(t, 200*time.Millisecond)
	r0 := read(t, p)
	f.play(t, 4*time.Second)
	r1 := read(t, p)
	lawful(t, r1)
	for _, name := range f.names {
		c := since(r1.VMs[name], r0.VMs[name])
		t.Logf("%s: waited %d ns in %d waits: %s", name, c.WaitNS, c.Waits, shares(c))
		lost := c.Causes[CauseUnattributed] + c.Causes[CauseMigrated]
		if c.WaitNS == 0 || share(lost, c.WaitNS) > 0.05 {
			t.Errorf("%s: %d of %d ns migrated or unattributed", name, lost, c.WaitNS)
		}
	}
}
