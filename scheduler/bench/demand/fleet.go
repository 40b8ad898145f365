package main

import (
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fleet fills a State by the commands of a real one: hosts announce themselves
// and beat, an operator sets rules. Every number follows from the size.
type fleet struct {
	hosts, each int // VMs on each host
	suffering   int // hosts, from the first on
	state       cluster.State
	index       uint64
	sequence    uint64
}

const (
	zones    = 4
	hostCPUs = cluster.MilliCPU(64_000)
	epoch    = cluster.Time(1_790_000_000_000_000_000)
	minutes  = 60 // of the past that are known
)

var (
	operator = cluster.Actor{Kind: cluster.KindOperator, ID: "00000000-0000-4000-8000-00000000000f", Name: "ann"}
	leader   = cluster.Actor{Kind: cluster.KindWitness, ID: "00000000-0000-4000-8000-00000000000e", Name: "wit"}
)

// newFleet is a fleet with all rules on, whose first hosts have suffered for
// long enough and whose past hour is known.
func newFleet(hosts, vms, suffering int) (cluster.State, error) {
	f := &fleet{hosts: hosts, each: vms / hosts, suffering: suffering, state: cluster.New("5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11")}
	f.state.Now = epoch
	set := cluster.DefaultSettings()
	set.Profile, set.WarmUp, set.PerCluster = cluster.ProfileFast, 0, 3
	set.FailoverHosts, set.VMMovesPerDay, set.VMDowntimePerDay = 1, 4, time.Second
	bodies := []cluster.Body{cluster.SetSettings{Settings: set}, cluster.SetMode{Mode: cluster.ModeAuto}}
	for _, body := range bodies {
		if err := f.apply(operator, body); err != nil {
			return f.state, err
		}
	}
	for h := range hosts {
		if err := f.apply(f.actor(h), cluster.Announce{Cluster: f.state.Cluster, Member: f.member(h)}); err != nil {
			return f.state, err
		}
	}
	if err := f.apply(operator, cluster.SetRules{Set: f.rules()}); err != nil {
		return f.state, err
	}
	for range minutes {
		if err := f.beat(time.Minute); err != nil {
			return f.state, err
		}
	}
	for range 20 { // the fast profile's seconds
		if err := f.beat(time.Second); err != nil {
			return f.state, err
		}
	}
	return f.state, nil
}

func (f *fleet) apply(by cluster.Actor, body cluster.Body) error {
	f.index++
	next, err := f.state.Apply(cluster.Meta{Index: f.index, Term: 1}, cluster.Command{Level: 1, Actor: by, At: f.state.Now, Body: body})
	if err != nil {
		return fmt.Errorf("%T: %w", body, err)
	}
	f.state = next
	return nil
}

func hostID(h int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", h+1) }

func (f *fleet) actor(h int) cluster.Actor {
	return cluster.Actor{Kind: cluster.KindAgent, ID: hostID(h), Name: fmt.Sprintf("hv%d", h)}
}

func (f *fleet) member(h int) cluster.Member {
	name := fmt.Sprintf("hv%d", h)
	return cluster.Member{
		ID: hostID(h), Name: name, Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: hostCPUs, Memory: f.memory(),
		MigrationPeerURI: "qemu+tcp://" + name + "/system", MigrationURI: "tcp://" + name, MigrationLink: 3 << 30, Zone: fmt.Sprintf("z%d", h%zones),
	}
}

// memory is half as much again as a host's VMs have: the reserve is kept, and
// not every move keeps it.
func (f *fleet) memory() cluster.Bytes {
	return cluster.Bytes(f.each) * 4 * cluster.GiB * 3 / 2
}

// The rules: groups of VMs that were created one after the other, of all kinds
// in turn, as many as the State takes with one pattern a kind and group.
const groups = 240

var kinds = []cluster.RuleSpec{
	{Kind: cluster.RuleAntiAffinity},
	{Kind: cluster.RuleSpread},
	{Kind: cluster.RulePin, Hosts: []string{"zone=z0", "zone=z1", "zone=z2"}},
	{Kind: cluster.RuleClass, Class: cluster.ClassBatch},
	{Kind: cluster.RuleDemand, Demand: 100, Bound: cluster.BoundAtLeast},
	{Kind: cluster.RuleAntiAffinity, Should: true},
	{Kind: cluster.RuleAffinity},
}

func (f *fleet) rules() (out []cluster.RuleChange) {
	for g := range groups {
		rule := kinds[g%len(kinds)]
		rule.Name = fmt.Sprintf("%s-%d", rule.Kind, g)
		rule.VMs = []string{fmt.Sprintf("g%03d-*", g)}
		out = append(out, cluster.RuleChange{RuleSpec: rule})
	}
	return out
}

// name says of which group a VM is. Those of most groups are on hosts side by
// side, so that each zone has as many; those that belong together are the last
// three of a host.
func (f *fleet) name(h, k int) string {
	size := max(min(f.hosts*f.each*4/5/groups, f.hosts)/zones*zones, zones)
	i := k*f.hosts + h
	g := i / size
	if k >= f.each-3 {
		if g = h; g < groups && kinds[g%len(kinds)].Kind == cluster.RuleAffinity {
			return fmt.Sprintf("g%03d-%d", g, i)
		}
		return fmt.Sprintf("free-%d", i)
	}
	kind := kinds[g%len(kinds)].Kind
	if g >= groups || kind == cluster.RuleAffinity || kind == cluster.RulePin && h%zones == zones-1 {
		return fmt.Sprintf("free-%d", i)
	}
	return fmt.Sprintf("g%03d-%d", g, i)
}

// beat lets time pass, and every host send a snapshot.
func (f *fleet) beat(after time.Duration) error {
	f.state.Now = f.state.Now.Add(after)
	f.sequence++
	batch := make([]cluster.Snapshot, 0, f.hosts)
	for h := range f.hosts {
		batch = append(batch, f.snapshot(h))
	}
	rejected := f.state.Rejected
	if err := f.apply(leader, cluster.Snapshots{Batch: batch}); err != nil {
		return err
	}
	if n := f.state.Rejected - rejected; n > 0 {
		return fmt.Errorf("%d snapshots were refused", n)
	}
	return nil
}

func (f *fleet) snapshot(h int) cluster.Snapshot {
	load := cluster.Load{
		TakenAt: f.state.Now, Window: 10 * time.Second, NextIn: time.Second, Inventory: 1,
		Source: cluster.SourceEBPF, CPUs: hostCPUs, Overhead: 1000, Use: 1000, Memory: f.memory(),
	}
	var inv *cluster.Inventory
	if f.sequence == 1 {
		inv = &cluster.Inventory{Revision: 1}
	}
	details := &cluster.Details{Window: load.Window, Vitals: load.Window, Inventory: 1}
	for k := range f.each {
		slot, dirty := uint32(k*f.hosts+h+1), 20*cluster.BytesPerSecond(cluster.MiB)
		if inv != nil {
			inv.VMs = append(inv.VMs, cluster.VM{
				Slot: slot, Name: f.name(h, k), UUID: fmt.Sprintf("00000000-0000-4000-8000-%012x", slot),
				VCPUs: f.vcpus(), MaxMemory: cluster.Bytes(2+k%5) * cluster.GiB, Run: cluster.RunRunning, Lock: cluster.LockLockable,
			})
		}
		l := f.load(h, k, slot)
		load.Use += l.Run
		load.Contention, load.Steal = l.Contention, l.Steal // alike for all of a host
		load.ContentionMax, load.StealMax = l.Contention, l.Steal
		load.VMs = append(load.VMs, l)
		details.VMs = append(details.VMs, cluster.Detail{Slot: slot, Memory: &cluster.Memory{Resident: cluster.GiB, DirtyRate: &dirty}})
	}
	return cluster.Snapshot{Host: hostID(h), Incarnation: 1, Sequence: f.sequence, Inventory: inv, Load: load, Details: details}
}

// mean is what each VM of a host could have.
func (f *fleet) mean() int { return int(hostCPUs-1000) / f.each }

func (f *fleet) vcpus() int { return (f.mean() + 999) / 1000 }

// load is what a VM asks for. A calm host is used by three fifths, give or take;
// on one that suffers all ask for a fifth more than there is.
func (f *fleet) load(h, k int, slot uint32) cluster.VMLoad {
	wave := (h*131 + k*71 + int(f.sequence)*17) % 41 // percent
	run := cluster.MilliCPU(f.mean() * (40 + wave) / 100)
	l := cluster.VMLoad{Slot: slot, Run: run, Demand: run, P99: 200 * time.Microsecond}
	if h < f.suffering {
		l.Run = cluster.MilliCPU(f.mean())
		l.Wait = l.Run / 5
		l.Demand = l.Run + l.Wait
		l.Steal = cluster.Ratio(int64(l.Wait) * 1000 / int64(f.vcpus()))
		l.StealMax, l.Contention, l.ContentionMax = l.Steal, l.Steal, l.Steal
		l.P99 = 20 * time.Millisecond
	}
	return l
}
