package apitest

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Ids of the members and the cluster.
const (
	ClusterID = "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11"
	HV1       = "11111111-1111-4111-8111-111111111111"
	HV2       = "22222222-2222-4222-8222-222222222222"
	W1        = "33333333-3333-4333-8333-333333333333"
)

// Fleet is a State in the making.
type Fleet struct {
	// Burden adds to every load what else the hosts bear; nil: nothing.
	Burden func(*cluster.Load)

	State cluster.State
	at    cluster.Time
	term  uint64 // of the next entry, if the State's is older
	seq   map[string]uint64
}

var operator = cluster.Actor{Kind: cluster.KindOperator, ID: "uid:1000", Name: "alice@hv1"}

// agentOf speaks for a host.
func agentOf(host string) cluster.Actor { return cluster.Actor{Kind: cluster.KindAgent, ID: host} }

// New is a fleet of two hypervisors and a witness that have just announced
// themselves. Addresses are where their APIs listen; "" for a port that nobody
// has.
func New(addresses map[string]string, lab bool) *Fleet {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := &Fleet{State: cluster.New(ClusterID), at: cluster.TimeOf(start), seq: map[string]uint64{}}
	for i, m := range []cluster.Member{
		{ID: HV1, Name: "hv1", Role: cluster.RoleHypervisor, CPUs: 2000, Memory: 8 * cluster.GiB},
		{ID: HV2, Name: "hv2", Role: cluster.RoleHypervisor, CPUs: 2000, Memory: 8 * cluster.GiB},
		{ID: W1, Name: "w1", Role: cluster.RoleWitness},
	} {
		m.Incarnation, m.Level, m.Version, m.Lab = 1, 1, "0.1.0-test", lab
		m.Address, m.APIAddress = fmt.Sprintf("10.0.0.%d:7471", i+1), addresses[m.ID]
		if m.Role == cluster.RoleHypervisor {
			m.Processor = &cluster.Processor{Model: "Example 9000", Cores: 1, MHz: 2100}
			m.MigrationAddress = fmt.Sprintf("10.0.0.%d", i+1)
			m.MigrationPeerURI, m.MigrationURI = "qemu+tls://"+m.MigrationAddress+"/system", "tcp://"+m.MigrationAddress
		}
		f.Do(cluster.Actor{Kind: cluster.KindAgent, ID: m.ID}, cluster.Announce{Cluster: ClusterID, Member: m})
	}
	set := cluster.DefaultSettings()
	set.Profile, set.AllowUnlocked, set.Settle = cluster.ProfileFast, true, 20*time.Second
	f.Do(operator, cluster.SetSettings{Settings: set})
	return f
}

// Now is the fleet's clock.
func (f *Fleet) Now() time.Time { return f.at.Std() }

// Wait lets time pass.
func (f *Fleet) Wait(d time.Duration) *Fleet {
	f.at = f.at.Add(d)
	return f
}

// Do applies a command, which the State must take.
func (f *Fleet) Do(who cluster.Actor, body cluster.Body) {
	if err := f.Try(cluster.Command{Actor: who, Body: body}); err != nil {
		panic(fmt.Sprintf("apitest: %s: %v", cluster.Command{Body: body}.Kind(), err))
	}
}

// Try applies a command as the next entry of the log.
func (f *Fleet) Try(c cluster.Command) error {
	c.Level, c.At = f.State.Level, f.at
	meta := cluster.Meta{Index: f.State.Index + 1, Term: max(f.State.Term, 3, f.term)}
	next, err := f.State.Apply(meta, c)
	f.State = next
	return err
}

// Guest is a VM and what it does.
type Guest struct {
	UUID, Name  string
	Run, Wait   cluster.MilliCPU
	Steal       cluster.Ratio
	Contention  cluster.Ratio
	Incoming    bool
	StealOfWait time.Duration // p99 of its run-queue latency
	Detail      *cluster.Detail
}

// guest makes a VM of one vCPU that never sleeps.
func guest(n int, name string, run cluster.MilliCPU) Guest {
	wait := 1000 - run
	return Guest{
		UUID: fmt.Sprintf("%08d-0000-4000-8000-%012d", n, n), Name: name, Run: run, Wait: wait,
		Steal: cluster.Ratio(wait) * 1000, Contention: cluster.Ratio(wait) * 1000, StealOfWait: 12 * time.Millisecond,
	}
}

// Beat publishes a load snapshot of a host.
func (f *Fleet) Beat(host string, guests ...Guest) {
	f.seq[host]++
	seq := f.seq[host]
	load := cluster.Load{
		TakenAt: f.at, Window: 10 * time.Second, NextIn: 2 * time.Second, Inventory: seq, Source: cluster.SourceEBPF,
		CPUs: 2000, Use: 100, Overhead: 100, Memory: 8 * cluster.GiB,
	}
	inv := &cluster.Inventory{Revision: seq}
	details := &cluster.Details{Window: load.Window, Vitals: load.Window, Inventory: seq}
	for i, g := range guests {
		inv.VMs = append(inv.VMs, cluster.VM{
			Slot: uint32(i), UUID: g.UUID, Name: g.Name, VCPUs: 1, MaxMemory: cluster.GiB, Run: cluster.RunRunning,
			Lock: cluster.LockDiskless, Incoming: g.Incoming,
		})
		load.VMs = append(load.VMs, cluster.VMLoad{
			Slot: uint32(i), Run: g.Run, Wait: g.Wait, Demand: g.Run + g.Wait, Steal: g.Steal, StealMax: g.Steal, Contention: g.Contention, ContentionMax: g.Contention,
			P50: g.StealOfWait / 4, P99: g.StealOfWait, P999: 2 * g.StealOfWait,
		})
		if g.Detail != nil {
			d := *g.Detail
			d.Slot = uint32(i)
			details.VMs = append(details.VMs, d)
		}
		load.Use += g.Run
		load.Steal += g.Steal / cluster.Ratio(len(guests))
		load.StealMax = max(load.StealMax, g.Steal)
		load.Contention += g.Contention / cluster.Ratio(len(guests))
		load.ContentionMax = max(load.ContentionMax, g.Contention)
	}
	if f.Burden != nil {
		f.Burden(&load)
	}
	f.Do(agentOf(host), cluster.Snapshots{Batch: []cluster.Snapshot{{Host: host, Incarnation: 1, Sequence: seq, Inventory: inv, Load: load, Details: details}}})
}

// Beats lets both hosts publish for a while, a snapshot a second.
func (f *Fleet) Beats(seconds int, on1, on2 []Guest) {
	for range seconds {
		f.Wait(time.Second)
		f.Beat(HV1, on1...)
		f.Beat(HV2, on2...)
	}
}

// effect is what is predicted of the first move.
var effect = cluster.Effect{
	VMContentionBefore: 500_000, VMContentionAfter: 12_000, SourceContentionBefore: 500_000, SourceContentionAfter: 331_000, TargetContentionAfter: 12_000,
	Duration: 9 * time.Second, Bytes: cluster.GiB,
}

const reason = "contention on hv1 50.0 % > 10.0 %, held 12s; db-01 (demand 1.0 CPUs) to hv2 lowers the worst predicted contention 50.0 % -> 33.1 %"

func score(worst cluster.MicroPoints) []cluster.ScoreTerm {
	return []cluster.ScoreTerm{{Name: "worst contention after by class, points", Points: worst}, {Name: "rules bent, more than before"}, {Name: "memory to copy, GiB", Points: 50_000}}
}

// decide records a decision about the crowd on hv1. The words and figures are
// written down here instead of asking the planner, so that what is printed
// changes only with what prints it.
func (f *Fleet) decide(result cluster.Result, code cluster.Code, text string) {
	d := cluster.Decision{
		ID: f.State.NextDecisionID(), Index: f.State.Index, Leader: HV2, Mode: f.State.Mode, Policy: "demand", Trigger: cluster.TriggerAuto,
		Result: result, Code: code, Text: text, PlannedAt: f.State.Now,
	}
	if result == cluster.ResultNothing {
		f.Do(agentOf(HV2), cluster.Decide{Decision: d})
		return
	}
	vms := crowd()
	d.Proposed = []cluster.Candidate{{VM: vms[0].UUID, Source: HV1, Target: HV2, Text: reason, Predicted: effect, Score: score(33_100_000)}}
	weaker := effect
	weaker.SourceContentionAfter, weaker.TargetContentionAfter = 420_000, 90_000
	d.Refused = []cluster.Candidate{
		{VM: vms[1].UUID, Source: HV1, Target: HV2, Code: cluster.CodeGainBelowCost, Text: "db-01 gains more", Predicted: weaker, Score: score(42_000_000)},
		{VM: vms[3].UUID, Source: HV1, Code: cluster.CodeCooldown, Text: "it moved 4m0s ago, cooldown is 30m0s"},
	}
	d.Counts = []cluster.CodeCount{{Code: cluster.CodeCooldown, N: 1}, {Code: cluster.CodeGainBelowCost, N: 2}}
	var orders []cluster.Order
	if result == cluster.ResultMoved {
		orders = []cluster.Order{{
			ID: f.State.NextMoveID(0), VM: vms[0].UUID, Source: HV1, Target: HV2, Trigger: cluster.TriggerAuto, Reason: reason,
			Term: f.State.Term, DecidedOn: f.State.Index, Deadline: f.at.Add(30 * time.Second), StartWindow: 30 * time.Second,
			Budget: 10 * time.Minute, Predicted: effect,
		}}
	}
	f.Do(agentOf(HV2), cluster.Decide{Decision: d, Orders: orders})
}
