package rebalancer_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

const (
	clusterID = "00000000-0000-0000-0000-0000000000c1"
	hvA       = "00000000-0000-0000-0000-00000000000a"
	hvB       = "00000000-0000-0000-0000-00000000000b"
	hvC       = "00000000-0000-0000-0000-00000000000c"
	hvD       = "00000000-0000-0000-0000-00000000000d"
)

var operator = cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}

// fleet is a replica of one: commands apply at once, at synctest's time.
type fleet struct {
	t         *testing.T
	s         cluster.State
	index     uint64
	term      uint64
	seq       map[string]uint64
	silent    map[string]bool
	proposals []string // kinds that the loop proposed
	vms       map[string][]int
	dead      map[int]bool                // VMs that run no more
	hostPain  map[string]cluster.Ratio    // what a host suffers, if not what its VMs do
	steal     map[string]cluster.Ratio    // what a host's VMs suffer, if not what processor sharing makes of it
	p99       map[string]time.Duration    // of a host's VMs
	vitals    func(vm int) cluster.Detail // nil: none are measured
	// before, if set, is what comes between the loop's look and its proposal; an
	// error keeps the proposal from the log.
	before func(context.Context, cluster.Command) error
}

func (f *fleet) State() (cluster.State, uint64) { return f.s, f.index }

func (f *fleet) Propose(ctx context.Context, c cluster.Command) (uint64, error) {
	if f.before != nil {
		if err := f.before(ctx, c); err != nil {
			return 0, err
		}
	}
	f.proposals = append(f.proposals, c.Kind())
	return f.apply(c)
}

func (f *fleet) apply(c cluster.Command) (uint64, error) {
	f.index++
	c.Level, c.At = 1, cluster.TimeOf(time.Now())
	var err error
	f.s, err = f.s.Apply(cluster.Meta{Index: f.index, Term: f.term}, c)
	return f.index, err
}

func (f *fleet) must(actor cluster.Actor, body cluster.Body) {
	f.t.Helper()
	if _, err := f.apply(cluster.Command{Actor: actor, Body: body}); err != nil {
		f.t.Fatal(err)
	}
}

func vmID(n int) string { return "00000000-0000-0000-0000-00000000000" + string(rune('0'+n)) }

func agentOf(host string) cluster.Actor { return cluster.Actor{Kind: cluster.KindAgent, ID: host} }

// newFleet has four hungry VMs on A, none on B or further hosts, and one CPU each.
func newFleet(t *testing.T, mode cluster.Mode, further ...string) *fleet {
	f := &fleet{
		t: t, s: cluster.New(clusterID), term: 1, seq: map[string]uint64{}, silent: map[string]bool{},
		vms: map[string][]int{hvA: {1, 2, 3, 4}, hvB: nil}, dead: map[int]bool{}, steal: map[string]cluster.Ratio{},
	}
	for _, h := range further {
		f.vms[h] = nil
	}
	for _, h := range f.hosts() {
		f.must(agentOf(h), cluster.Announce{Cluster: clusterID, Member: cluster.Member{
			ID: h, Name: "hv-" + h[35:], Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 1000, Memory: 64 * cluster.GiB,
			MigrationPeerURI: "qemu+tcp://x/system", MigrationURI: "tcp://x",
		}})
	}
	set := cluster.DefaultSettings()
	set.Profile, set.AllowUnlocked, set.WarmUp, set.Settle = cluster.ProfileFast, true, 5*time.Second, 20*time.Second
	f.must(operator, cluster.SetSettings{Settings: set})
	f.must(operator, cluster.SetMode{Mode: mode})
	return f
}

func (f *fleet) hosts() []string { return slices.Sorted(maps.Keys(f.vms)) }

// beat publishes what processor sharing makes of the present placement.
func (f *fleet) beat() {
	for _, h := range f.hosts() {
		if f.silent[h] {
			continue
		}
		f.seq[h]++
		n := len(f.vms[h])
		inv := &cluster.Inventory{Revision: f.seq[h]}
		load := cluster.Load{
			TakenAt: cluster.TimeOf(time.Now()), Window: 10 * time.Second, NextIn: 2 * time.Second, Inventory: f.seq[h],
			Source: cluster.SourceEBPF, CPUs: 1000, Memory: 64 * cluster.GiB,
		}
		for i, vm := range f.vms[h] {
			steal, told := f.steal[h]
			if !told {
				steal = cluster.Whole - cluster.Whole/cluster.Ratio(n)
			}
			inv.VMs = append(inv.VMs, cluster.VM{Slot: uint32(i), UUID: vmID(vm), Name: "vm" + vmID(vm)[35:], VCPUs: 1, MaxMemory: cluster.GiB, Run: cluster.RunRunning, Lock: cluster.LockNone})
			if f.dead[vm] {
				load.VMs = append(load.VMs, cluster.VMLoad{Slot: uint32(i)})
				continue
			}
			load.VMs = append(load.VMs, cluster.VMLoad{Slot: uint32(i), Run: cluster.MilliCPU(1000 / n), Wait: cluster.MilliCPU(1000 - 1000/n), Demand: 1000, Steal: steal, StealMax: steal, Contention: steal, ContentionMax: steal, P99: f.p99[h]})
			load.Steal, load.StealMax, load.Contention, load.ContentionMax, load.Use = steal, steal, steal, steal, 1000
		}
		if pain, told := f.hostPain[h]; told {
			load.Contention, load.ContentionMax = pain, pain
		}
		snap := cluster.Snapshot{Host: h, Incarnation: 1, Sequence: f.seq[h], Inventory: inv, Load: load}
		if f.vitals != nil {
			snap.Details = &cluster.Details{Window: load.Window, Vitals: load.Window, Inventory: inv.Revision}
			for i, vm := range f.vms[h] {
				d := f.vitals(vm)
				d.Slot = uint32(i)
				snap.Details.VMs = append(snap.Details.VMs, d)
			}
		}
		_, _ = f.apply(cluster.Command{Body: cluster.Snapshots{Batch: []cluster.Snapshot{snap}}})
	}
}

// play lets the loop and the hosts live for a while; each second ends with what
// the agents do.
func (f *fleet) play(r *rebalancer.Rebalancer, d time.Duration, agents func()) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Second)
		f.beat()
		r.Step(context.Background())
		if agents != nil {
			agents()
		}
	}
}

// obedient agents carry every order that they may out within the second.
func (f *fleet) obedient() {
	for m := range f.s.Live() {
		if m.State != cluster.MoveOrdered {
			continue
		}
		f.must(agentOf(m.Target), cluster.Reserve{Move: m.ID})
		if _, err := f.apply(cluster.Command{Actor: agentOf(m.Source), Body: cluster.Claim{Move: m.ID, Incarnation: 1}}); err != nil {
			continue // frozen meanwhile
		}
		f.must(agentOf(m.Source), cluster.Start{Move: m.ID})
		f.must(agentOf(m.Source), cluster.EndJob{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
		f.must(agentOf(m.Target), cluster.Testify{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}})
		f.move(m)
	}
}

func (f *fleet) move(m cluster.Move) {
	var left []int
	for _, vm := range f.vms[m.Source] {
		if vmID(vm) == m.VM {
			f.vms[m.Target] = append(f.vms[m.Target], vm)
			continue
		}
		left = append(left, vm)
	}
	f.vms[m.Source] = left
}

func (f *fleet) moves() (out []cluster.Move) {
	for _, m := range f.s.Moves() {
		out = append(out, m)
	}
	return out
}

func (f *fleet) decisions() (out []cluster.Decision) {
	for _, d := range f.s.DecisionsBackward() {
		out = append(out, d)
	}
	return out
}

func story(t *testing.T, name string, mode cluster.Mode, scene func(t *testing.T, f *fleet, r *rebalancer.Rebalancer)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, mode)
			scene(t, f, f.leader())
		})
	})
}

func (f *fleet) leader() *rebalancer.Rebalancer {
	return rebalancer.New(rebalancer.Config{
		Replica: f, Self: cluster.Actor{Kind: cluster.KindAgent, ID: hvA}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

func TestLoop(t *testing.T) {
	story(t, "in auto it levels the fleet, verifies, and then rests", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 3*time.Minute, f.obedient)
		moves := f.moves()
		if len(moves) != 2 || len(f.vms[hvA]) != 2 {
			t.Fatalf("%d moves, placement %v", len(moves), f.vms)
		}
		for _, m := range moves {
			if m.State != cluster.MoveDone || m.Verdict != cluster.VerdictBetter || m.Measured == nil || m.Decision == "" {
				t.Errorf("%s: %s, verdict %q, measured %v", m.ID, m.State, m.Verdict, m.Measured)
			}
		}
		f.proposals = nil
		f.play(r, 5*time.Minute, f.obedient)
		if n := len(f.proposals); n > 6 {
			t.Errorf("%d proposals in five minutes of rest: %v", n, f.proposals)
		}
	})
	story(t, "a new leader watches before it decides", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 20*time.Second, nil)
		ordered := f.moves()[0]
		if since := ordered.OrderedAt.Sub(f.s.TermSince); since < 5*time.Second {
			t.Errorf("ordered %v into its term", since)
		}
	})
	story(t, "in recommend it says what it would do, once, and moves nothing", cluster.ModeRecommend, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 50*time.Second, f.obedient)
		d := f.decisions()[0]
		if len(f.moves()) != 0 || d.Result != cluster.ResultRecommended || d.Code != cluster.CodeModeRecommend || len(d.Proposed) == 0 {
			t.Errorf("%d moves; %+v", len(f.moves()), d)
		}
		if n := len(f.decisions()); n > 4 {
			t.Errorf("%d records of the same", n)
		}
		f.play(r, 3*time.Minute, f.obedient)
		if d := f.decisions()[0]; d.Repeated < 60 {
			t.Errorf("repeated %d times, and it does not say so", d.Repeated)
		}
	})
	story(t, "switched off it does not even look", cluster.ModeOff, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, time.Minute, f.obedient)
		if len(f.proposals) != 0 {
			t.Errorf("it proposed %v", f.proposals)
		}
	})
	story(t, "an order that nobody takes expires, and is not given again at once", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 50*time.Second, nil)
		moves := f.moves()
		if moves[0].State != cluster.MoveExpired || moves[0].WhyCode != cluster.CodeNotReserved {
			t.Errorf("%s: %s %s", moves[0].ID, moves[0].State, moves[0].WhyCode)
		}
		for _, m := range moves[1:] {
			if m.VM == moves[0].VM {
				t.Errorf("%s orders the same VM again", m.ID)
			}
		}
	})
	story(t, "a job that never ends becomes unknown, and its VM is left alone", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 20*time.Minute, func() {
			for m := range f.s.Live() {
				if m.State == cluster.MoveOrdered {
					f.must(agentOf(m.Target), cluster.Reserve{Move: m.ID})
					f.must(agentOf(m.Source), cluster.Claim{Move: m.ID, Incarnation: 1})
					f.must(agentOf(m.Source), cluster.Start{Move: m.ID})
				}
			}
		})
		if moves := f.moves(); len(moves) != 1 || moves[0].State != cluster.MoveUnknown {
			t.Errorf("%+v", moves)
		}
	})
	story(t, "a silent target is no target, and both silent freeze automation for a while", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.silent[hvB] = true
		f.play(r, 30*time.Second, f.obedient)
		if len(f.moves()) != 0 || f.s.Frozen.Since != 0 {
			t.Errorf("%d moves, frozen %+v", len(f.moves()), f.s.Frozen)
		}
		f.silent[hvB] = false
		f.play(r, 3*time.Second, nil)
		f.silent[hvA], f.silent[hvB] = true, true
		f.play(r, 20*time.Second, nil)
		if f.s.Frozen.Since == 0 || f.s.Frozen.Until == 0 {
			t.Errorf("not frozen: %+v", f.s.Frozen)
		}
		f.silent = map[string]bool{}
		f.play(r, 10*time.Minute, f.obedient)
		if len(f.vms[hvA]) != 2 {
			t.Errorf("it has not gone on afterwards: %v", f.vms)
		}
	})
	story(t, "a VM that shows no figures after its move is suspect", cluster.ModeAuto, func(t *testing.T, f *fleet, r *rebalancer.Rebalancer) {
		f.play(r, 2*time.Minute, func() {
			f.obedient()
			if len(f.moves()) > 0 {
				f.silent[hvB] = true
			}
		})
		if m := f.moves()[0]; m.Verdict != cluster.VerdictSuspect || m.Measured != nil {
			t.Errorf("verdict %q, measured %v", m.Verdict, m.Measured)
		}
	})
}
