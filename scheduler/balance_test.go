package scheduler_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// BenchmarkBalance plans for a whole fleet, one host in ten of which suffers.
func BenchmarkBalance(b *testing.B) {
	for _, size := range []struct{ hosts, vms int }{{20, 20}, {100, 100}, {1000, 30}} {
		b.Run(fmt.Sprintf("%dx%d", size.hosts, size.hosts*size.vms), func(b *testing.B) {
			f := newFleet(b)
			for i := range size.hosts {
				h := f.addHost(fmt.Sprintf("hv%d", i))
				h.cpus, h.memory = cluster.MilliCPU(1000*size.vms), cluster.Bytes(8*size.vms)*cluster.GiB
				f.announce(h)
				for j := range size.vms {
					v := f.addVM(fmt.Sprintf("vm%d-%d", i, j), h.name)
					v.VCPUs, v.demand = 2, cluster.MilliCPU(300+(i*131+j*71)%500)
					if i%10 == 0 {
						v.demand = 1500
					}
				}
			}
			for range 10 {
				f.state.Now = f.state.Now.Add(59 * time.Second)
				f.wait(time.Second)
			}
			f.wait(5 * time.Second)
			b.ReportAllocs()
			var r scheduler.Sequence
			for b.Loop() {
				r = scheduler.Balance(scheduler.Input{State: f.state, Iterations: 1_000_000, Workers: 1}, 200, nil)
			}
			if len(r.Moves) == 0 {
				b.Fatalf("nothing was planned: %s", r.Text)
			}
			b.Logf("%d moves, %d left; %v -> %v; %v", len(r.Moves), r.Left, r.Before, r.After, r.Terms)
		})
	}
}

// A plan for the whole fleet is lawful at every step: no VM moves twice, memory
// is never overcommitted, unknown hosts have no part in it, it is no longer than
// asked for, and nobody is left worse off than the worst was. The same budget
// gives the same plan.
func TestLawBalanceIsLawful(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawFleet(t, "demand")
		f := s.build(t)
		most := rapid.IntRange(0, 8).Draw(t, "most")
		in := scheduler.Input{State: f.state, Now: f.state.Now.Std(), Seed: 3, Workers: 1, Iterations: 20_000}
		r := scheduler.Balance(in, most, nil)
		if again := scheduler.Balance(in, most, nil); !reflect.DeepEqual(r, again) {
			t.Fatalf("two plans of one fleet:\n%+v\n%+v", r, again)
		}
		if len(r.Moves) > most || (len(r.Moves) == 0) == (r.Code == "") {
			t.Fatalf("%d moves of %d, code %q", len(r.Moves), most, r.Code)
		}
		if len(r.Moves) > 0 && (r.After.Worst > r.Before.Worst || r.After == r.Before) {
			t.Fatalf("%v became %v", r.Before, r.After)
		}
		f.followBalance(t, r.Moves)
	})
}

// A plan for the whole fleet breaks no rule at any step, and leaves alone what is
// to be ignored.
func TestLawBalanceKeepsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawFleet(t, "demand")
		f := s.build(t)
		f.zoned()
		drawRules(t, s, f)
		in := scheduler.Input{State: f.state, Seed: 3, Workers: 1, Iterations: 20_000}
		r := scheduler.Balance(in, 8, nil)
		if len(r.Moves) > 0 && (r.After.Worst > r.Before.Worst || r.After == r.Before) {
			t.Fatalf("%+v became %+v", r.Before, r.After)
		}
		for i, m := range r.Moves {
			f.followRules(t, i, m)
		}
	})
}

// zoned puts the hosts into two zones, and some into none.
func (f *fleet) zoned() {
	for i, h := range f.hosts {
		h.zone = []string{"z0", "z1", ""}[i%3]
		f.announce(h)
	}
	f.wait(f.every * 11)
}

// followRules carries a step out and judges it by the rules.
func (f *fleet) followRules(t tester, i int, m scheduler.Step) {
	before := map[string]int{}
	for _, rule := range f.state.Rules {
		before[rule.ID] = f.broken(rule)
	}
	from, v := f.find(m.VMName)
	f.shift(v, from, f.host(f.nameOf(m.Target)))
	for _, rule := range f.state.Rules {
		switch {
		case rule.Kind == cluster.RuleIgnore && slices.Contains(rule.VMs, m.VMName):
			t.Fatalf("step %d moves %s, which %s ignores", i, m.VMName, rule.Name)
		case !rule.Should && f.broken(rule) > before[rule.ID]:
			t.Fatalf("step %d, %s to %s, breaks %s: %s", i, m.VMName, f.nameOf(m.Target), rule.Name, rule)
		}
	}
}

// A plan under rules reaches no less than moves one after the other, each the best
// at its time, would under the same rules.
func TestBalanceUnderRulesIsNoWorseThanSteps(t *testing.T) {
	const most = 12
	planned, stepped := int64(0), int64(0)
	for seed := range 8 {
		f := ruledFleet(t, seed)
		plan := scheduler.Balance(scheduler.Input{State: f.state, Seed: 1, Workers: 1, Iterations: 100_000}, most, nil)
		if plan.Left > 0 {
			t.Errorf("fleet %d: %d of the moves that were found are lawful in no order", seed, plan.Left)
		}
		for range most {
			r := scheduler.Plan(f.inputNow())
			if len(r.Moves) == 0 {
				break
			}
			f.operate(cluster.TriggerAuto, "", r.Moves[0].VMName, f.nameOf(r.Moves[0].Target), cluster.MoveDone)
			f.wait(15 * time.Minute)
		}
		steps := scheduler.Balance(scheduler.Input{State: f.state, Workers: 1, Iterations: 1}, 0, nil).Before
		t.Logf("fleet %d: %+v, in %d moves %+v, in steps %+v", seed, plan.Before, len(plan.Moves), plan.After, steps)
		if plan.After.Worst > steps.Worst+10_000 {
			t.Errorf("fleet %d: worst contention %v, in steps %v", seed, plan.After.Worst, steps.Worst)
		}
		planned, stepped = planned+int64(plan.After.Waiting), stepped+int64(steps.Waiting)
	}
	if planned > stepped {
		t.Errorf("all wait for %d thousandths of a CPU, in steps for %d", planned, stepped)
	}
}

// ruledFleet has 9 hosts in three zones, a third of which suffer, and rules for
// nearly all of its VMs: twins apart, trios over the zones, couples on one host, and
// pins.
func ruledFleet(t tester, seed int) *fleet {
	f := newFleet(t)
	set := f.state.Settings
	set.PerHour, set.PerDay, set.Cooldown = 1000, 1000, time.Minute
	f.must(operator, cluster.SetSettings{Settings: set})
	for i := range 9 {
		h := f.addHost(fmt.Sprintf("hv%d", i))
		h.cpus, h.zone = 4000, fmt.Sprintf("z%d", i%3)
		f.announce(h)
		for j := range 6 {
			v := f.addVM(fmt.Sprintf("vm%d-%d", i, j), h.name)
			v.demand = cluster.MilliCPU(100 + (i*131+j*71+seed*37)%400)
			if i%3 == seed%3 {
				v.demand = cluster.MilliCPU(700 + (i*131+j*71+seed*37)%300)
			}
			v.MaxMemory += cluster.Bytes(i*6+j) * cluster.MiB
		}
	}
	add := func(kind cluster.RuleKind, should bool, hosts []string, vms ...string) {
		name := fmt.Sprintf("rule%d", len(f.state.Rules))
		f.must(operator, cluster.SetRules{Set: []cluster.RuleChange{{RuleSpec: cluster.RuleSpec{Name: name, Kind: kind, Should: should, VMs: vms, Hosts: hosts}}}})
	}
	for i := range 9 {
		vm := func(host, j int) string { return fmt.Sprintf("vm%d-%d", (i+host)%9, j) }
		add(cluster.RuleAntiAffinity, false, nil, vm(0, 0), vm(1, 0), vm(2, 0))
		add(cluster.RuleSpread, false, nil, vm(0, 1), vm(1, 1), vm(2, 1))
		add(cluster.RulePin, i%2 == 0, []string{fmt.Sprintf("hv%d", i), fmt.Sprintf("zone=z%d", (i+seed)%3)}, vm(0, 2))
		add(cluster.RuleAntiAffinity, true, nil, vm(0, 3), vm(4, 4))
	}
	add(cluster.RuleAffinity, false, nil, "vm0-5", "vm1-5")
	add(cluster.RuleAffinity, true, nil, "vm2-4", "vm2-5")
	f.wait(20 * time.Second)
	return f
}

// followBalance carries a plan out and judges each step by another way of
// reckoning.
func (f *fleet) followBalance(t *rapid.T, moves []scheduler.Step) {
	at, moved := map[string]string{}, map[string]bool{}
	for _, h := range f.hosts {
		for _, v := range h.vms {
			at[v.Name] = h.name
		}
	}
	for _, m := range moves {
		v, source, target := f.vm(m.VMName), f.host(f.nameOf(m.Source)), f.host(f.nameOf(m.Target))
		switch {
		case moved[m.VMName], at[m.VMName] != source.name, source == target:
			t.Fatalf("%s moves from %s to %s, and is on %s", m.VMName, source.name, target.name, at[m.VMName])
		case source.silent, target.silent, source.noPath, target.noPath:
			t.Fatalf("%s moves from %s to %s, one of which is silent or has no path", m.VMName, source.name, target.name)
		case v.dark, v.Run != cluster.RunRunning, v.Lock != cluster.LockLockable:
			t.Fatalf("%s may not move", m.VMName)
		}
		at[m.VMName], moved[m.VMName] = target.name, true
		var use cluster.Bytes
		for name, host := range at {
			if host == target.name {
				use += f.vm(name).MaxMemory + cluster.VMOverhead
			}
		}
		if use > target.memory {
			t.Fatalf("%s has to hold %v in %v after %s", target.name, use, target.memory, m.VMName)
		}
	}
}
