package scheduler_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// spec is a generated fleet, before there is a State of it.
type spec struct {
	policy string
	set    cluster.Settings
	hosts  []hostSpec
	vms    []vmSpec
}

type hostSpec struct {
	name     string
	cpus     cluster.MilliCPU
	overhead cluster.MilliCPU
	memory   cluster.Bytes
	silent   bool
	noPath   bool
}

type vmSpec struct {
	name   string
	on     string
	vcpus  int
	demand cluster.MilliCPU
	memory cluster.Bytes
	lock   cluster.DiskLock
	run    cluster.RunState
	dark   bool
	quota  cluster.MilliCPU
	shares cluster.Shares
}

func one(t *rapid.T, in int, label string) bool { return rapid.IntRange(1, in).Draw(t, label) == in }

// drawFleet draws a fleet that is more often crowded than not. Sizes differ
// from each other by a little, so that two moves are seldom equally good.
func drawFleet(t *rapid.T, policy string) spec {
	s := spec{policy: policy, set: cluster.DefaultSettings()}
	s.set.Policy, s.set.Profile, s.set.WarmUp = policy, cluster.ProfileFast, 0
	s.set.PerCluster = rapid.IntRange(1, 6).Draw(t, "per cluster")
	s.set.PerHost = rapid.IntRange(1, 2).Draw(t, "per host")
	s.set.PerHour, s.set.PerDay = 1000, 1000
	for i := range rapid.IntRange(2, 6).Draw(t, "hosts") {
		s.hosts = append(s.hosts, hostSpec{
			name: fmt.Sprintf("hv%d", i), cpus: cluster.MilliCPU(rapid.IntRange(1, 4).Draw(t, "cpus")*1000 + i),
			overhead: cluster.MilliCPU(rapid.IntRange(0, 300).Draw(t, "overhead")),
			memory:   cluster.Bytes(rapid.IntRange(8, 64).Draw(t, "memory")) * cluster.GiB,
			silent:   one(t, 6, "silent"), noPath: one(t, 20, "no path"),
		})
	}
	for i := range rapid.IntRange(0, 30).Draw(t, "vms") {
		v := vmSpec{name: fmt.Sprintf("vm%d", i), vcpus: rapid.IntRange(1, 4).Draw(t, "vcpus"), lock: cluster.LockLockable, run: cluster.RunRunning}
		v.on = s.hosts[rapid.IntRange(0, len(s.hosts)-1).Draw(t, "on")/rapid.IntRange(1, 2).Draw(t, "crowd")].name
		v.demand = cluster.MilliCPU(rapid.IntRange(0, v.vcpus*1000).Draw(t, "demand"))
		v.memory = cluster.Bytes(rapid.IntRange(256, 8192).Draw(t, "mem"))*cluster.MiB + cluster.Bytes(i)*4096
		if one(t, 12, "unlocked") {
			v.lock = cluster.LockNone
		}
		if one(t, 12, "paused") {
			v.run = cluster.RunPaused
		}
		v.dark = one(t, 25, "dark")
		if one(t, 5, "throttled") {
			v.quota = cluster.MilliCPU(rapid.IntRange(100, v.vcpus*1000).Draw(t, "quota"))
			v.demand = min(v.demand, v.quota)
		}
		if one(t, 5, "shares") {
			v.shares = cluster.Shares(rapid.SampledFrom([]int{1, 50, 200, 1000}).Draw(t, "of them"))
		}
		s.vms = append(s.vms, v)
	}
	return s
}

// build makes the State: all hosts beat for 20 s, silent ones only at first.
func (s spec) build(t tester) *fleet {
	f := newFleet(t)
	f.must(operator, cluster.SetSettings{Settings: s.set})
	for _, h := range s.hosts {
		host := f.addHost(h.name)
		host.cpus, host.overhead, host.memory, host.noPath = h.cpus, h.overhead, h.memory, h.noPath
		f.announce(host)
	}
	for _, v := range s.vms {
		vm := f.addVM(v.name, v.on)
		vm.VCPUs, vm.demand, vm.MaxMemory, vm.Lock, vm.Run, vm.dark, vm.quota, vm.shares = v.vcpus, v.demand, v.memory, v.lock, v.run, v.dark, v.quota, v.shares
	}
	f.wait(12 * time.Second)
	for _, h := range s.hosts {
		f.host(h.name).silent = h.silent
	}
	f.wait(20 * time.Second)
	return f
}

func (f *fleet) plan() scheduler.Result {
	in := scheduler.Input{State: f.state, Now: f.state.Now.Std(), Seed: 1}
	return scheduler.Plan(in)
}

var everyPolicy = cluster.Policies

func (f *fleet) inputNow() scheduler.Input { return scheduler.Input{State: f.state} }

func forAllFleets(t *testing.T, policies []string, check func(t *rapid.T, s spec, f *fleet)) {
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := drawFleet(t, policy)
				check(t, s, s.build(t))
			})
		})
	}
}

func TestLawSameInputSameBytes(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		a, b := f.plan(), s.build(t).plan()
		if !reflect.DeepEqual(a, b) || fmt.Sprintf("%#v", a) != fmt.Sprintf("%#v", b) {
			t.Fatalf("two plans of one fleet:\n%+v\n%+v", a, b)
		}
	})
}

// Whatever Plan says is lawful: the State takes it as orders, no VM moves
// twice, limits hold, memory is never overcommitted, and unknown hosts have
// no part in it.
func TestLawPlansAreLawful(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		r := f.plan()
		f.checkOrders(scheduler.Input{State: f.state}, r)
		if n := len(r.Moves); n > 3 || n > s.set.PerCluster {
			t.Fatalf("%d steps, at most 3 and %d in flight may be", n, s.set.PerCluster)
		}
		if len(r.Refused) > cluster.MaxCandidates || (len(r.Moves) == 0) == (r.Code == "") || r.Code != "" && r.Text == "" {
			t.Fatalf("%d moves, code %q, %d refused", len(r.Moves), r.Code, len(r.Refused))
		}
		touched, seen, memory := map[string]int{}, map[string]bool{}, map[string]cluster.Bytes{}
		for _, m := range r.Moves {
			if seen[m.VM] || m.Source == m.Target {
				t.Fatalf("%s moves twice, or nowhere", m.VMName)
			}
			seen[m.VM] = true
			touched[m.Source]++
			touched[m.Target]++
			memory[m.Target] += f.vm(m.VMName).MaxMemory + cluster.VMOverhead
			for _, end := range []string{m.Source, m.Target} {
				if h := f.host(f.nameOf(end)); h.silent {
					t.Fatalf("%s moves from or to %s, which is silent", m.VMName, h.name)
				}
			}
		}
		for id, n := range touched {
			if n > s.set.PerHost {
				t.Fatalf("%d moves touch %s, at most %d may", n, f.nameOf(id), s.set.PerHost)
			}
		}
		for id, more := range memory {
			h := f.host(f.nameOf(id))
			for _, v := range h.vms {
				more += v.MaxMemory + cluster.VMOverhead
			}
			if more > h.memory {
				t.Fatalf("%s would have to hold %v in %v", h.name, more, h.memory)
			}
		}
	})
}

// What a silent host last said has no part in a plan.
func TestLawNothingBecauseOfUnknownHosts(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		other := s
		other.vms = slices.Clone(s.vms)
		silent := map[string]bool{}
		for _, h := range s.hosts {
			silent[h.name] = h.silent
		}
		for i, v := range s.vms {
			if silent[v.on] {
				other.vms[i].demand = cluster.MilliCPU(v.vcpus)*1000 - v.demand
			}
		}
		if a, b := f.plan().Moves, other.build(t).plan().Moves; !reflect.DeepEqual(a, b) {
			t.Fatalf("figures of a silent host changed the plan:\n%+v\n%+v", a, b)
		}
	})
}

// extreme draws figures at the edges of what a State accepts.
func extreme(t *rapid.T, label string, values ...int64) int64 {
	return rapid.SampledFrom(values).Draw(t, label)
}

// Whatever a State accepts can be planned and explained: no panic, figures
// that are figures, texts that a decision can hold, orders that are taken.
func TestFault32LawAbsurdFleetsArePlanned(t *testing.T) {
	long := strings.Repeat("ü", 128)
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		for i, h := range f.hosts {
			f.must(f.actor(h), cluster.Announce{Cluster: testCluster, Member: cluster.Member{
				ID: f.ids[h.name], Name: long[:254] + fmt.Sprint(i), Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 1, Memory: 1,
				MigrationPeerURI: "x", MigrationURI: "x",
			}})
			h.sequence++
			most := int64(1) << 14 * 1000
			snap := cluster.Snapshot{Host: f.ids[h.name], Incarnation: 1, Sequence: h.sequence, Inventory: &cluster.Inventory{Revision: h.revision + 1}}
			snap.Load = cluster.Load{
				TakenAt: f.state.Now, Window: time.Second, NextIn: 15 * time.Second, Inventory: h.revision + 1, Source: cluster.SourceEBPF,
				CPUs: cluster.MilliCPU(extreme(t, "cpus", 1, 999, 1000, most)), Use: cluster.MilliCPU(extreme(t, "use", 0, 1000, most)),
				Overhead: cluster.MilliCPU(extreme(t, "overhead", 0, 1000, most)), Memory: cluster.Bytes(extreme(t, "memory", 0, 1<<34, 1<<50)),
				Steal: cluster.Ratio(extreme(t, "steal", 0, 500_000, 1_010_000)), StealMax: cluster.Ratio(extreme(t, "worst", 0, 1_010_000)),
				Contention: cluster.Ratio(extreme(t, "contention", 0, 500_000, 1_010_000)), ContentionMax: cluster.Ratio(extreme(t, "worst contention", 0, 1_010_000)),
			}
			for _, v := range h.vms {
				facts := v.VM
				facts.Name, facts.VCPUs, facts.MaxMemory = long, int(extreme(t, "vcpus", 0, 1, 4096)), cluster.Bytes(extreme(t, "mem", 0, 1<<30, 1<<50))
				snap.Inventory.VMs = append(snap.Inventory.VMs, facts)
				figure := func(label string) cluster.MilliCPU { return cluster.MilliCPU(extreme(t, label, 0, 1, 1000, most)) }
				l := cluster.VMLoad{
					Slot: v.Slot, Run: figure("run"), Wait: figure("wait"), Others: figure("others"), Demand: figure("demand"),
					Steal: cluster.Ratio(extreme(t, "vm steal", 0, 1_010_000)), StealMax: cluster.Ratio(extreme(t, "vm worst", 0, 1_010_000)),
				}
				l.Contention, l.ContentionMax = l.Steal, l.StealMax
				snap.Load.VMs = append(snap.Load.VMs, l)
			}
			f.must(leader, cluster.Snapshots{Batch: []cluster.Snapshot{snap}})
		}
		f.state.Now = f.state.Now.Add(5 * time.Second)
		if f.state.Rejected > 0 {
			t.Fatal("a snapshot was refused: the extremes are beyond the bounds")
		}
		r := f.plan()
		f.checkOrders(scheduler.Input{State: f.state}, r)
		texts := []string{r.Text}
		for _, m := range r.Moves {
			texts = append(texts, m.Reason)
			for _, share := range []cluster.Ratio{m.Predicted.VMContentionAfter, m.Predicted.SourceContentionAfter, m.Predicted.TargetContentionAfter} {
				if share < 0 || share > cluster.Whole {
					t.Fatalf("a steal of %d ppm is predicted", share)
				}
			}
		}
		for _, h := range f.hosts {
			for _, v := range scheduler.Explain(scheduler.Input{State: f.state}, f.ids[h.name]) {
				texts = append(texts, v.Text)
			}
		}
		for _, text := range texts {
			if len(text) > 1024 || !utf8.ValidString(text) {
				t.Fatalf("no text for a record: %d bytes, %q", len(text), text)
			}
		}
	})
}

// worst is the steal of the VM that suffers most on either host, by sharing in
// rounds, which is not how the planner reckons; as a share of wall time.
func (f *fleet) worst(hosts ...*host) float64 {
	worst := 0.0
	for _, h := range hosts {
		share(h.cpus, h.overhead, h.vms)
		for _, v := range h.vms {
			worst = max(worst, (v.demand-v.run).CPUs()/float64(v.VCPUs))
		}
	}
	return worst
}

// rounding is how far sharing in rounds of whole thousandths of a CPU may be
// off.
const rounding = 0.02

// No move whose worst steal is not lower, told by another reckoning than the
// planner's; and the one that was picked leaves no better one of its source.
func TestLawEveryMoveLowersTheWorst(t *testing.T) {
	forAllFleets(t, []string{"demand"}, func(t *rapid.T, s spec, f *fleet) {
		for i, m := range f.plan().Moves {
			from, v := f.find(m.VMName)
			to := f.host(f.nameOf(m.Target))
			before := f.worst(from, to)
			f.shift(v, from, to)
			after := f.worst(from, to)
			if after >= before+rounding {
				t.Fatalf("step %d, %s to %s: worst steal %.3f -> %.3f", i, v.Name, to.name, before, after)
			}
			if p := m.Predicted.SourceContentionAfter.Float(); p > before+rounding {
				t.Fatalf("predicted %.3f after, where %.3f was before", p, before)
			}
		}
	})
}

// A fleet that carries out its plans settles, and then plans nothing. Each
// step is carried out, and the hosts' windows pass, before the next plan.
// Where hosts meet by lot, those with something to hand over may meet later.
func TestLawFleetsSettle(t *testing.T) {
	forAllFleets(t, []string{"demand", "half-difference", "threshold"}, func(t *rapid.T, s spec, f *fleet) {
		set := s.set
		set.Cooldown, set.Profile = 0, cluster.ProfileSteady
		f.must(operator, cluster.SetSettings{Settings: set})
		f.every = cluster.MaxSilence
		long := set.Sustained() + 30*time.Second
		f.wait(long)
		const limit = 60
		placements := map[string]bool{f.placement(): true}
		for range limit {
			r := f.plan()
			if len(r.Moves) == 0 {
				f.wait(long)
				if again := f.plan(); len(again.Moves) > 0 {
					t.Fatalf("settled with %s, and then planned %+v", r.Text, again.Moves)
				}
				return
			}
			m := r.Moves[0]
			f.operate(cluster.TriggerAuto, "", m.VMName, f.nameOf(m.Target), cluster.MoveDone)
			f.wait(long)
			if now := f.placement(); placements[now] {
				t.Fatalf("moving %s brought back a placement that was left", m.VMName)
			} else {
				placements[now] = true
			}
		}
		t.Fatalf("not settled after %d moves", limit)
	})
}

func (f *fleet) placement() string {
	var out []string
	for _, h := range f.hosts {
		for _, v := range h.vms {
			out = append(out, v.Name+"@"+h.name)
		}
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

// Other names give the same plan under other names.
func TestLawRelabelling(t *testing.T) {
	forAllFleets(t, []string{"demand", "pairwise-random", "threshold"}, func(t *rapid.T, s spec, f *fleet) {
		other := s
		other.hosts, other.vms = slices.Clone(s.hosts), slices.Clone(s.vms)
		slices.Reverse(other.hosts) // ids are given in this order
		slices.Reverse(other.vms)
		g := other.build(t)
		a, b := f.plan().Moves, g.plan().Moves
		if len(a) != len(b) {
			t.Fatalf("%d moves, %d under other names", len(a), len(b))
		}
		for i := range a {
			a[i].Predicted.Bystander, b[i].Predicted.Bystander = "", "" // an id; of two alike either may be named
			if a[i].VMName != b[i].VMName || f.nameOf(a[i].Target) != g.nameOf(b[i].Target) || a[i].Predicted != b[i].Predicted {
				t.Fatalf("step %d: %s, under other names %s", i, a[i].Reason, b[i].Reason)
			}
		}
	})
}

// load is half-difference's measure: demand per capacity, the host's own work
// included.
func (h *host) load() float64 {
	sum := h.overhead
	for _, v := range h.vms {
		if !v.dark {
			sum += v.demand
		}
	}
	return float64(sum) / float64(h.cpus)
}

// Half-difference moves the VM nearest half the difference, never one as
// large as the gap, and never widens the gap.
func TestLawHalfDifference(t *testing.T) {
	forAllFleets(t, []string{"half-difference"}, func(t *rapid.T, s spec, f *fleet) {
		r := f.plan()
		if len(r.Moves) == 0 {
			return
		}
		m := r.Moves[0]
		from, picked := f.find(m.VMName)
		to := f.host(f.nameOf(m.Target))
		for _, h := range f.hosts {
			// With dark VMs a host's own use counts, which this reckoning leaves out.
			if hasDark := slices.ContainsFunc(h.vms, func(v *vm) bool { return v.dark }); h.silent || hasDark {
				continue
			}
			if h.load() > from.load()+1e-9 && !slices.ContainsFunc(from.vms, func(v *vm) bool { return v.dark }) || h != from && h.load() < to.load()-1e-9 {
				t.Fatalf("from %s (%.3f) to %s (%.3f), but %s has %.3f", from.name, from.load(), to.name, to.load(), h.name, h.load())
			}
		}
		if slices.ContainsFunc(from.vms, func(v *vm) bool { return v.dark }) {
			return
		}
		gap := from.load() - to.load()
		at := func(v *vm, h *host) float64 { return float64(v.demand) / float64(h.cpus) }
		after := func(v *vm) float64 { return math.Abs(gap - at(v, from) - at(v, to)) }
		if at(picked, to) >= gap || after(picked) >= gap {
			t.Fatalf("%s has %.3f there, and leaves %.3f of a gap of %.3f", picked.Name, at(picked, to), after(picked), gap)
		}
		refused := map[string]bool{}
		for _, c := range r.Refused {
			refused[c.VM] = true
		}
		for _, v := range from.vms {
			nearer := math.Abs(at(v, to)-gap/2) < math.Abs(at(picked, to)-gap/2)-1e-6
			if nearer && !refused[v.UUID] {
				t.Fatalf("%s is nearer half of %.3f than %s, and was not refused", v.Name, gap, picked.Name)
			}
		}
	})
}

// What was refused is refused by a rule that binds, told from the fleet and
// not from the planner.
func TestLawRefusalsBind(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		for _, c := range f.plan().Refused {
			if !f.binds(c) {
				t.Fatalf("%s to %s is refused with %s, which does not bind: %s", f.nameOf(c.VM), f.nameOf(c.Target), c.Code, c.Text)
			}
		}
	})
}

// foretell is the worst steal before and after a move. Who was served in full
// before and is not afterwards is taken to fall behind, and to want all of
// its CPUs.
func (f *fleet) foretell(v *vm, from, to *host) (before, after float64) {
	before = f.worst(from, to)
	served := map[*vm]bool{}
	for _, w := range slices.Concat(from.vms, to.vms) {
		served[w] = w.run >= w.demand-30 // rounds leave a rest
	}
	f.shift(v, from, to)
	after = f.worst(from, to)
	for _, w := range slices.Concat(from.vms, to.vms) {
		if served[w] && w.run < w.demand {
			after = max(after, 1-w.run.CPUs()/float64(w.VCPUs))
		}
	}
	f.shift(v, to, from)
	return before, after
}

func (f *fleet) binds(c cluster.Candidate) bool {
	from, v := f.find(f.nameOf(c.VM))
	switch c.Code {
	case cluster.CodeNotRunning:
		return v.Run != cluster.RunRunning
	case cluster.CodeNoDiskLock:
		return v.Lock != cluster.LockLockable
	}
	var to *host
	if c.Target != "" {
		to = f.host(f.nameOf(c.Target))
	}
	switch c.Code {
	case cluster.CodeStaleSnapshot:
		return to.silent
	case cluster.CodePoorQuality:
		return v.dark || slices.ContainsFunc(to.vms, func(v *vm) bool { return v.dark })
	case cluster.CodeNoMigrationPath:
		return from.noPath || to.noPath
	case cluster.CodeNoHeadroom:
		need := v.MaxMemory + cluster.VMOverhead
		for _, w := range to.vms {
			need += w.MaxMemory + cluster.VMOverhead
		}
		return need > to.memory
	case cluster.CodeFailoverReserve:
		before := f.lacking()
		f.shift(v, from, to)
		after := f.lacking()
		f.shift(v, to, from)
		return after > before
	case cluster.CodeTooSlow: // at the assumed rate, for nothing was copied yet
		return float64(v.MaxMemory)/float64(110*cluster.MiB) > f.state.Settings.LongestMove.Seconds()
	case cluster.CodeGapTooSmall:
		if f.state.Settings.Policy == "pairwise-random" {
			gap := weighed(from, to)
			return math.Abs(weighedAfter(v, from, to)) >= gap-1e-6 || weighedThere(v, to) >= gap-1e-6 || from.hasDark() || to.hasDark()
		}
		gap := from.load() - to.load()
		after := math.Abs(gap - float64(v.demand)/float64(from.cpus) - float64(v.demand)/float64(to.cpus))
		return v.demand == 0 || after >= gap-1e-6 || float64(v.demand)/float64(to.cpus) >= gap-1e-6
	case cluster.CodeWouldNotHelp, cluster.CodeGainBelowCost:
		if f.state.Settings.Policy == "threshold" {
			return v.demand == 0 || to.load()+float64(v.demand)/float64(to.cpus) > 1-f.state.Settings.Enter.Float()-1e-6 || to.hasDark()
		}
		before, after := f.foretell(v, from, to)
		limit := 0.0
		if c.Code == cluster.CodeGainBelowCost {
			limit = f.state.Settings.MinGain.Float()
		}
		return before-after <= limit+rounding || slices.ContainsFunc(from.vms, func(v *vm) bool { return v.dark })
	}
	return false
}
