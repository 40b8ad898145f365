package whatif_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
	"github.com/evenkeel/evenkeel/scheduler/sim"
	"github.com/evenkeel/evenkeel/scheduler/whatif"
)

// tape is a past that is written by hand, command by command.
type tape struct {
	t        *testing.T
	s        cluster.State
	past     []sim.Applied
	at       cluster.Time
	on       map[string]string           // host by VM, as it is
	wants    map[string]cluster.MilliCPU // by VM
	incoming map[string]string           // host that a VM is on its way to, by VM
	seq      map[string]uint64
	shown    map[string]string // inventory, by host
	revision map[string]uint64
}

const (
	hostA = "aaaaaaaa-0000-4000-8000-000000000000"
	hostB = "bbbbbbbb-0000-4000-8000-000000000000"
	hostC = "cccccccc-0000-4000-8000-000000000000"
	ofUs  = "00000000-0000-4000-8000-00000000c1a5"
)

var ann = cluster.Actor{Kind: cluster.KindOperator, ID: "uid:1000", Name: "ann"}

func vmID(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// newTape is a fleet of three hosts of two CPUs each; the first has three VMs
// that want a CPU each, and a small one.
func newTape(t *testing.T, mode cluster.Mode) *tape {
	f := &tape{
		t: t, s: cluster.New(ofUs), at: cluster.TimeOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)),
		on:       map[string]string{vmID(1): hostA, vmID(2): hostA, vmID(3): hostA, vmID(4): hostA},
		wants:    map[string]cluster.MilliCPU{vmID(1): 1000, vmID(2): 1000, vmID(3): 1000, vmID(4): 100},
		incoming: map[string]string{}, seq: map[string]uint64{}, shown: map[string]string{}, revision: map[string]uint64{},
	}
	for i, id := range []string{hostA, hostB, hostC} {
		name := fmt.Sprintf("hv%d", i+1)
		f.do(who(id), cluster.Announce{Cluster: ofUs, Member: cluster.Member{
			ID: id, Name: name, Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 2000, Memory: 64 * cluster.GiB,
			MigrationPeerURI: "qemu+tls://" + name, MigrationURI: "tcp://" + name,
		}})
	}
	set := cluster.DefaultSettings()
	set.Profile, set.WarmUp, set.FreezeAfter, set.Settle = cluster.ProfileFast, 0, 1, 20*time.Second
	f.do(ann, cluster.SetSettings{Settings: set})
	f.do(ann, cluster.SetMode{Mode: mode})
	return f
}

func who(host string) cluster.Actor { return cluster.Actor{Kind: cluster.KindAgent, ID: host} }

// do applies a command, which the State must take, and writes it down.
func (f *tape) do(by cluster.Actor, body cluster.Body) {
	f.t.Helper()
	a := sim.Applied{Before: f.s, Meta: cluster.Meta{Index: f.s.Index + 1, Term: 1}, Command: cluster.Command{Level: 1, Actor: by, At: f.at, Body: body}}
	next, err := f.s.Apply(a.Meta, a.Command)
	if err != nil {
		f.t.Fatalf("%T: %v", body, err)
	}
	f.s, f.past = next, append(f.past, a)
}

// beats lets seconds pass in which every host measures and publishes.
func (f *tape) beats(seconds int) {
	f.t.Helper()
	for range seconds {
		f.at = f.at.Add(time.Second)
		var batch []cluster.Snapshot
		for _, h := range []string{hostA, hostB, hostC} {
			batch = append(batch, f.snapshot(h))
		}
		f.do(who(hostA), cluster.Snapshots{Batch: batch})
	}
}

func (f *tape) snapshot(host string) cluster.Snapshot {
	f.seq[host]++
	inv := cluster.Inventory{Revision: 1}
	var claims []sim.Claim
	for _, vm := range slices.Sorted(maps.Keys(f.on)) {
		if f.on[vm] != host && f.incoming[vm] != host {
			continue
		}
		facts := cluster.VM{
			Slot: uint32(len(inv.VMs)), UUID: vm, Name: "vm" + vm[7:8], VCPUs: 1, MaxMemory: cluster.GiB, Run: cluster.RunRunning,
			Lock: cluster.LockLockable, Incoming: f.on[vm] != host, Migrating: f.on[vm] == host && f.incoming[vm] != "",
		}
		inv.VMs = append(inv.VMs, facts)
		if !facts.Incoming {
			claims = append(claims, sim.Claim{VCPUs: 1, CPU: f.wants[vm]})
		}
	}
	load := cluster.Load{TakenAt: f.at, Window: 5 * time.Second, NextIn: time.Second, Source: cluster.SourceEBPF, CPUs: 2000, Memory: 64 * cluster.GiB}
	parts := sim.Share(load.CPUs, claims)
	for _, vm := range inv.VMs {
		if vm.Incoming {
			continue
		}
		part, want := parts[0], claims[0].CPU
		parts, claims = parts[1:], claims[1:]
		wait := cluster.Ratio(part.Wait) * 1000
		load.VMs = append(load.VMs, cluster.VMLoad{Slot: vm.Slot, Run: part.Run, Wait: part.Wait, Demand: want, Steal: wait, StealMax: wait, Contention: wait, ContentionMax: wait})
		load.Use += part.Run
		load.Steal += wait / cluster.Ratio(len(inv.VMs))
		load.StealMax = max(load.StealMax, wait)
	}
	load.Contention, load.ContentionMax = load.Steal, load.StealMax
	s := cluster.Snapshot{Host: host, Incarnation: 1, Sequence: f.seq[host], Load: load}
	if shown := fmt.Sprint(inv); f.shown[host] != shown {
		f.shown[host] = shown
		f.revision[host]++
		inv.Revision = f.revision[host]
		s.Inventory = &inv
	}
	s.Load.Inventory = f.revision[host]
	return s
}

// order has the leader decide, as it must, and returns its one move.
func (f *tape) order() cluster.Move {
	f.t.Helper()
	d, orders := rebalancer.Evaluate(f.s, hostA, f.at)
	return f.give(d, orders, who(hostA))
}

func (f *tape) give(d cluster.Decision, orders []cluster.Order, by cluster.Actor) cluster.Move {
	f.t.Helper()
	if len(orders) != 1 {
		f.t.Fatalf("%d orders: %+v", len(orders), d)
	}
	f.do(by, cluster.Decide{Decision: d, Orders: orders})
	m, _ := f.s.Move(orders[0].ID)
	return m
}

// carry plays a move's two ends up to the end of its job.
func (f *tape) carry(m cluster.Move, seconds int) {
	f.t.Helper()
	f.do(who(m.Target), cluster.Reserve{Move: m.ID})
	f.do(who(m.Source), cluster.Claim{Move: m.ID, Incarnation: 1})
	f.do(who(m.Source), cluster.Start{Move: m.ID})
	f.incoming[m.VM] = m.Target
	f.beats(seconds)
	delete(f.incoming, m.VM)
}

// done ends a move well, failed ends it badly.
func (f *tape) done(m cluster.Move) {
	f.on[m.VM] = m.Target
	f.do(who(m.Source), cluster.EndJob{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
	f.do(who(m.Target), cluster.Testify{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}})
}

func (f *tape) failed(m cluster.Move) {
	f.do(who(m.Source), cluster.EndJob{Move: m.ID, Report: "connection reset", Evidence: cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}})
	f.do(who(m.Target), cluster.Testify{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
}

// play plays the tape in lanes.
func (f *tape) play(lanes ...whatif.Lane) whatif.Report {
	f.t.Helper()
	r, err := replay(whatif.Config{Lanes: lanes}, f.past)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

var (
	asThen = whatif.Lane{Name: "then"}
	off    = whatif.Lane{Name: "off", Mode: cluster.ModeOff}
	auto   = whatif.Lane{Name: "auto", Mode: cluster.ModeAuto}
)

// A move that failed in the record fails in a lane that orders it too, and
// freezes it as it froze evenkeel then. A lane that does not is not frozen.
func TestFailedMove(t *testing.T) {
	f := newTape(t, cluster.ModeAuto)
	f.beats(8)
	m := f.order()
	f.carry(m, 12)
	f.failed(m)
	f.beats(120)
	r := f.play(asThen, whatif.Lane{Name: "late", Change: set("profile=steady")})
	for i, want := range []struct {
		moves int
		state cluster.MoveState
	}{{1, cluster.MoveFailed}, {0, ""}} {
		if got := r.Lanes[i].Moves; len(got) != want.moves || want.moves > 0 && got[0].State != want.state {
			t.Errorf("%s: %+v", r.Lanes[i].Name, got)
		}
	}
	if r.Lanes[0].Modelled != 0 || r.Lanes[0].Steal != r.Record.Steal {
		t.Errorf("the VM stayed where it was, yet %+v, really %+v", r.Lanes[0].Figures, r.Record.Figures)
	}
}

// What operators and other tools did happens in every lane, and is nobody's
// decision.
func TestOthersMoves(t *testing.T) {
	f := newTape(t, cluster.ModeOff)
	f.beats(8)
	d, orders := rebalancer.Ask(f.s, hostA, f.at, cluster.Asked{By: "ann", VM: vmID(1), Target: hostB})
	m := f.give(d, orders, ann)
	f.carry(m, 6)
	f.done(m)
	f.beats(30)
	f.on[vmID(2)] = hostC // by another tool
	f.beats(30)
	r := f.play(asThen, off)
	for _, c := range append(r.Lanes, r.Record) {
		if len(c.Moves) != 0 || c.Moved != 0 || c.Modelled != 0 || c.Steal != r.Record.Steal {
			t.Errorf("%s: %d moves, %+v; really %+v", c.Name, len(c.Moves), c.Figures, r.Record.Figures)
		}
	}
}

// A host that is drained is drained in every lane, by the lane's own leader;
// where the moves are the same, so are the figures.
func TestDrain(t *testing.T) {
	f := newTape(t, cluster.ModeOff)
	f.wants[vmID(3)], f.wants[vmID(4)] = 100, 100
	f.beats(8)
	f.do(ann, cluster.SetCordon{Host: hostA, Drain: true})
	for range 4 {
		d, orders, asked := rebalancer.Obey(f.s, hostA, f.at)
		if !asked {
			t.Fatal("nobody asks for anything")
		}
		m := f.give(d, orders, who(hostA))
		f.carry(m, 4)
		f.done(m)
		f.beats(12)
	}
	r := f.play(asThen, off)
	for _, c := range r.Lanes {
		if len(c.Moves) != 0 || c.Modelled != 0 || c.Steal != r.Record.Steal {
			t.Errorf("%s: %d moves, %+v; really %+v", c.Name, len(c.Moves), c.Figures, r.Record.Figures)
		}
	}
}

// Evenkeel only recommended. Had it been let, it would have relieved the host;
// a VM that is switched off on the way ends the move, and freezes nothing.
func TestRecommended(t *testing.T) {
	f := newTape(t, cluster.ModeRecommend)
	f.beats(8)
	d, _ := rebalancer.Evaluate(f.s, hostA, f.at)
	f.do(who(hostA), cluster.Decide{Decision: d})
	if d.Result != cluster.ResultRecommended {
		t.Fatalf("%+v", d)
	}
	f.beats(4) // a lane's move takes some 9 s
	delete(f.on, d.Proposed[0].VM)
	f.beats(60)
	f.on[vmID(5)], f.wants[vmID(5)] = hostA, 1000
	f.beats(120)
	r := f.play(asThen, auto)
	then, lane := r.Lanes[0], r.Lanes[1]
	if r.Record.Recommended != 1 || then.Recommended == 0 || len(then.Moves) != 0 || then.Modelled != 0 {
		t.Errorf("record %+v, then %+v", r.Record.Figures, then.Figures)
	}
	if len(lane.Moves) != 2 || lane.Moves[0].State != cluster.MoveAborted || lane.Moves[1].State != cluster.MoveDone {
		t.Fatalf("%+v", lane.Moves)
	}
	if lane.Modelled == 0 || lane.Steal >= r.Record.Steal {
		t.Errorf("it was relieved, yet %+v; really %+v", lane.Figures, r.Record.Figures)
	}
	_, _, more := whatif.Compare(r.Record, lane)
	if len(more) != 2 || r.Record.Answered == 0 || lane.DelayWorst > 10*time.Second {
		t.Errorf("%d in addition; %+v", len(more), lane.Figures)
	}
}

// Figures that are older than a host may be silent are none: a VM of unknown
// demand is dark where the lane has it, and nothing is said of it.
func TestUnknownDemand(t *testing.T) {
	f := newTape(t, cluster.ModeAuto)
	f.beats(8)
	m := f.order()
	f.carry(m, 6)
	f.done(m)
	f.beats(20)
	silent := m.Target
	for range 60 { // the host that really has the VM falls silent
		f.at = f.at.Add(time.Second)
		var batch []cluster.Snapshot
		for _, h := range []string{hostA, hostB, hostC} {
			if h != silent {
				batch = append(batch, f.snapshot(h))
			}
		}
		f.do(who(hostA), cluster.Snapshots{Batch: batch})
	}
	r := f.play(off)
	// hv1 keeps its four VMs: with figures for 34 s and the first 15 s of the
	// silence, 45 s without those of one. No other host has any.
	if got := r.Lanes[0].VMTime.Seconds(); got < 4*40+3*44 || got > 4*52+3*46 {
		t.Errorf("figures for %v VM-seconds: %+v", got, r.Lanes[0].Figures)
	}
}
