package scheduler_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fleet is a made-up fleet that fills a State by the commands of a real one:
// hosts announce themselves and beat once a second. What their VMs run and
// wait follows from what they want, shared in equal rounds.
type fleet struct {
	t     tester
	state cluster.State
	index uint64
	hosts []*host
	ids   map[string]string // name → UUID
	every time.Duration     // between beats

	// What the next move that is carried out takes, and copies.
	took   time.Duration
	copied cluster.Bytes
	stood  time.Duration
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

type host struct {
	name      string
	cpus      cluster.MilliCPU
	overhead  cluster.MilliCPU
	memory    cluster.Bytes
	source    cluster.Source
	bookError cluster.Ratio
	clock     time.Duration // how far its clock is ahead
	noPath    bool
	link      cluster.BytesPerSecond // 0: not known
	hold      string
	zone      string
	silent    bool
	revision  uint64
	sequence  uint64
	sent      uint64 // revision of the inventory that was sent last
	vms       []*vm
}

type vm struct {
	cluster.VM
	demand cluster.MilliCPU
	steal  *cluster.Ratio // as measured; nil: as it follows from sharing
	// contention as measured; nil: all of the steal
	contention *cluster.Ratio
	others     cluster.MilliCPU // of its other threads
	dark       bool             // not measured yet
	also       string           // a second host that reports it

	run      cluster.MilliCPU
	dirty    cluster.BytesPerSecond // 0: not measured
	writes   cluster.BytesPerSecond // to its disks; 0: not measured
	p99      time.Duration          // as measured, wherever it is
	resident cluster.Bytes          // 0: not measured
	quota    cluster.MilliCPU       // 0: none
	shares   cluster.Shares         // 0: the usual ones
}

const (
	testCluster = "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11"
	epoch       = cluster.Time(1_790_000_000_000_000_000)
	term        = 3
)

var (
	operator = cluster.Actor{Kind: cluster.KindOperator, ID: "00000000-0000-4000-8000-00000000000f", Name: "ann"}
	leader   = cluster.Actor{Kind: cluster.KindWitness, ID: "00000000-0000-4000-8000-00000000000e", Name: "wit"}
)

// newFleet is an empty fleet whose leader has warmed up, in mode auto and of
// the fast profile.
func newFleet(t tester) *fleet {
	f := &fleet{t: t, state: cluster.New(testCluster), ids: map[string]string{}, every: time.Second}
	f.state.Now = epoch
	set := cluster.DefaultSettings()
	set.Profile, set.WarmUp = cluster.ProfileFast, 0
	f.must(operator, cluster.SetSettings{Settings: set})
	f.must(operator, cluster.SetMode{Mode: cluster.ModeAuto})
	return f
}

func (f *fleet) apply(by cluster.Actor, body cluster.Body) error {
	f.index++
	next, err := f.state.Apply(cluster.Meta{Index: f.index, Term: term}, cluster.Command{Level: 1, Actor: by, At: f.state.Now, Body: body})
	f.state = next
	return err
}

func (f *fleet) must(by cluster.Actor, body cluster.Body) {
	f.t.Helper()
	if err := f.apply(by, body); err != nil {
		f.t.Fatalf("%T: %v", body, err)
	}
}

func (f *fleet) addHost(name string) *host {
	h := &host{name: name, cpus: 1000, memory: 64 * cluster.GiB, source: cluster.SourceEBPF, revision: 1}
	f.hosts = append(f.hosts, h)
	f.ids[name] = fmt.Sprintf("%08x-0000-4000-8000-000000000000", len(f.hosts))
	return h
}

func (f *fleet) addVM(name, on string) *vm {
	h := f.host(on)
	v := &vm{VM: cluster.VM{
		Slot: uint32(len(f.ids)), Name: name, UUID: fmt.Sprintf("00000000-0000-4000-8000-%012x", len(f.ids)+1),
		VCPUs: 1, MaxMemory: cluster.GiB, Run: cluster.RunRunning, Lock: cluster.LockLockable,
	}}
	f.ids[name] = v.UUID
	h.vms = append(h.vms, v)
	h.revision++
	return v
}

func (f *fleet) host(name string) *host {
	f.t.Helper()
	for _, h := range f.hosts {
		if h.name == name {
			return h
		}
	}
	f.t.Fatalf("no host %s", name)
	return nil
}

func (f *fleet) vm(name string) *vm {
	_, v := f.find(name)
	return v
}

func (f *fleet) find(name string) (*host, *vm) {
	for _, h := range f.hosts {
		for _, v := range h.vms {
			if v.Name == name {
				return h, v
			}
		}
	}
	return nil, nil
}

func (f *fleet) announce(h *host) {
	m := cluster.Member{
		ID: f.ids[h.name], Name: h.name, Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: h.cpus, Memory: h.memory,
		MigrationPeerURI: "qemu+tcp://" + h.name + "/system", MigrationURI: "tcp://" + h.name,
	}
	m.Hold, m.MigrationLink, m.Zone = h.hold, h.link, h.zone
	if h.noPath {
		m.MigrationPeerURI = ""
	}
	f.must(f.actor(h), cluster.Announce{Cluster: testCluster, Member: m})
}

func (f *fleet) actor(h *host) cluster.Actor {
	return cluster.Actor{Kind: cluster.KindAgent, ID: f.ids[h.name], Name: h.name}
}

// wait lets time pass: every host that is not silent beats.
func (f *fleet) wait(d time.Duration) {
	f.t.Helper()
	for end := f.state.Now.Add(d); f.state.Now < end; {
		f.state.Now = f.state.Now.Add(f.every)
		var batch []cluster.Snapshot
		for _, h := range f.hosts {
			if !h.silent {
				batch = append(batch, f.beat(h))
			}
		}
		rejected := f.state.Rejected
		f.must(leader, cluster.Snapshots{Batch: batch})
		if f.state.Rejected != rejected {
			f.t.Fatalf("a snapshot was refused")
		}
	}
}

// beat is a host's snapshot now.
func (f *fleet) beat(h *host) cluster.Snapshot {
	h.sequence++
	vms := h.vms
	for _, other := range f.hosts {
		for _, v := range other.vms {
			if v.also == h.name {
				vms = append(vms[:len(vms):len(vms)], v)
			}
		}
	}
	left := h.cpus
	for _, v := range vms {
		left -= v.others
	}
	share(left, h.overhead, vms)
	load := cluster.Load{
		TakenAt: f.state.Now.Add(h.clock), Window: 10 * time.Second, NextIn: f.every, Inventory: h.revision,
		Source: h.source, BookError: h.bookError, CPUs: h.cpus, Overhead: h.overhead, Use: h.overhead, Memory: h.memory,
	}
	inv := &cluster.Inventory{Revision: h.revision} // sent only when it changed
	var wait, contended, vcpus cluster.MilliCPU
	var details []cluster.Detail
	for _, v := range vms {
		inv.VMs = append(inv.VMs, v.VM)
		load.Use += v.run + v.others
		if v.dark {
			continue
		}
		l := v.measure()
		wait += l.Wait
		vcpus += cluster.MilliCPU(v.VCPUs)
		load.StealMax = max(load.StealMax, l.StealMax)
		contended += cluster.MilliCPU(l.Contention) * cluster.MilliCPU(v.VCPUs) / 1000
		load.ContentionMax = max(load.ContentionMax, l.ContentionMax)
		load.VMs = append(load.VMs, l)
		d := cluster.Detail{Slot: v.Slot, Quota: v.quota, Shares: v.shares}
		if v.dirty > 0 || v.resident > 0 {
			d.Memory = &cluster.Memory{Resident: v.resident}
			if v.dirty > 0 {
				d.Memory.DirtyRate = &v.dirty
			}
		}
		if v.writes > 0 {
			d.Block = &cluster.Block{
				Layer: cluster.LayerQEMU, Backend: cluster.BackendLocal,
				Write: cluster.BlockFigures{Requests: 1, Bytes: uint64(v.writes) * uint64(load.Window/time.Second)},
			}
		}
		if d.Memory != nil || d.Block != nil || d.Quota != 0 || d.Shares != 0 {
			details = append(details, d)
		}
	}
	if h.sent == h.revision {
		inv = nil
	}
	h.sent = h.revision
	if vcpus > 0 {
		load.Steal = min(cluster.Ratio(wait*1000/vcpus), cluster.Whole)
		load.Contention = min(cluster.Ratio(contended*1000/vcpus), cluster.Whole)
	}
	s := cluster.Snapshot{Host: f.ids[h.name], Incarnation: 1, Sequence: h.sequence, Inventory: inv, Load: load}
	if details != nil {
		s.Details = &cluster.Details{Window: load.Window, Vitals: load.Window, Inventory: h.revision, VMs: details}
	}
	return s
}

func (v *vm) measure() cluster.VMLoad {
	wait := v.demand - v.run
	if v.steal != nil {
		wait = cluster.MilliCPU(int64(*v.steal) * int64(v.VCPUs) / 1000)
	}
	steal := min(cluster.Ratio(wait*1000/cluster.MilliCPU(v.VCPUs)), cluster.Whole)
	contention := steal
	if v.contention != nil {
		contention = *v.contention
	}
	return cluster.VMLoad{
		Slot: v.Slot, Run: v.run, Wait: wait, Others: v.others, Demand: v.demand,
		Steal: steal, StealMax: steal, Contention: contention, ContentionMax: contention, P99: v.p99,
	}
}

// share gives CPU in rounds: each vCPU that still wants some gets a part of what
// is left that is equal for each of its shares, and so does the host's own work on each of its CPUs. It
// is not the planner's way of reckoning the same.
func share(cpus, overhead cluster.MilliCPU, vms []*vm) {
	self := &vm{VM: cluster.VM{VCPUs: max(int(cpus+500)/1000, 1)}, demand: overhead}
	left, sharers := cpus, append(slices.Clone(vms), self)
	for _, v := range sharers {
		v.run = 0
	}
	for range 64 {
		hungry := cluster.MilliCPU(0)
		for _, v := range sharers {
			if v.run < v.demand {
				hungry += v.allShares()
			}
		}
		if hungry == 0 || 100*left < hungry {
			return
		}
		part := left
		for _, v := range sharers {
			got := min(part*v.allShares()/hungry, v.demand-v.run)
			v.run += got
			left -= got
		}
	}
}

// allShares are those of all its vCPUs, in hundredths of the usual.
func (v *vm) allShares() cluster.MilliCPU {
	if v.shares == 0 {
		return 100 * cluster.MilliCPU(v.VCPUs)
	}
	return cluster.MilliCPU(v.shares) * cluster.MilliCPU(v.VCPUs)
}

// operate takes a move of a VM through its life up to a state.
func (f *fleet) operate(trigger cluster.Trigger, code cluster.Code, name, to string, until cluster.MoveState) {
	f.t.Helper()
	from, v := f.find(name)
	target := f.host(to)
	id := f.state.NextMoveID(0)
	order := cluster.Order{
		ID: id, VM: v.UUID, Source: f.ids[from.name], Target: f.ids[to], Trigger: trigger, Code: code, Reason: "told so",
		Term: term, DecidedOn: f.index, Deadline: f.state.Now.Add(time.Minute), StartWindow: time.Minute, Budget: time.Minute,
	}
	f.must(leader, cluster.Decide{Decision: cluster.Decision{ID: f.state.NextDecisionID(), Result: cluster.ResultMoved}, Orders: []cluster.Order{order}})
	gone, runs := cluster.Evidence{Presence: cluster.PresenceAbsent}, cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}
	life := []struct {
		state cluster.MoveState
		by    *host
		body  cluster.Body
	}{
		{cluster.MoveOrdered, target, cluster.Reserve{Move: id}},
		{cluster.MoveClaimed, from, cluster.Claim{Move: id, Incarnation: 1}},
		{cluster.MoveRunning, from, cluster.Start{Move: id}},
		{"", from, cluster.EndJob{Move: id, Evidence: gone}},
		{cluster.MoveDone, target, cluster.Testify{Move: id, Evidence: runs}},
	}
	if until == cluster.MoveUnknown {
		life[4].state, life[4].by, life[4].body = until, from, cluster.Testify{Move: id, Evidence: runs}
		life[3].body = cluster.EndJob{Move: id, Evidence: runs}
		life = append(life[:4], life[4], life[4])
		life[4].by, life[4].state = target, until
	}
	switch until {
	case cluster.MoveVetoed:
		life[0].state, life[0].body = until, cluster.Veto{Move: id, Code: cluster.CodeTargetBusy, Text: "busy"}
	case cluster.MoveReleased:
		life[2].state, life[2].body = until, cluster.Release{Move: id, Code: cluster.CodeHypervisorBlocked, Text: "QEMU keeps it: device 'nvme'"}
	case cluster.MoveCancelled:
		f.must(operator, cluster.Cancel{Move: id, Text: "not this one"})
		return
	case cluster.MoveFailed, cluster.MoveAborted:
		life[3].body = cluster.EndJob{Move: id, Aborted: until == cluster.MoveAborted, Evidence: runs}
		life[4].state, life[4].body = until, cluster.Testify{Move: id, Evidence: gone}
	}
	for i, step := range life {
		if i == 3 {
			f.state.Now = f.state.Now.Add(f.took)
		}
		if b, ok := step.body.(cluster.Testify); ok && i == 4 {
			b.Bytes, b.Downtime = f.copied, f.stood
			step.body = b
		}
		f.must(f.actor(step.by), step.body)
		if step.state == until {
			break
		}
	}
	if m, _ := f.state.Move(id); m.State != until {
		f.t.Fatalf("%s is %s, not %s", id, m.State, until)
	}
	if until == cluster.MoveDone {
		f.shift(v, from, target)
	}
}

// shift moves a VM from host to host in the made-up world.
func (f *fleet) shift(v *vm, from, to *host) {
	for i, w := range from.vms {
		if w == v {
			from.vms = append(from.vms[:i:i], from.vms[i+1:]...)
			break
		}
	}
	i := 0
	for i < len(to.vms) && to.vms[i].Slot < v.Slot {
		i++
	}
	to.vms = append(to.vms[:i:i], append([]*vm{v}, to.vms[i:]...)...)
	from.revision++
	to.revision++
}

// orders makes of a plan what the leader would propose.
func (f *fleet) orders(r scheduler.Result) []cluster.Order {
	var out []cluster.Order
	for i, m := range r.Moves {
		out = append(out, cluster.Order{
			ID: f.state.NextMoveID(i), VM: m.VM, Source: m.Source, Target: m.Target, Trigger: cluster.TriggerAuto, Reason: m.Reason,
			Term: term, DecidedOn: r.Index, Deadline: f.state.Now.Add(time.Minute), StartWindow: time.Minute, Budget: time.Minute,
			Predicted: m.Predicted,
		})
	}
	return out
}

// checkOrders asks the State whether it takes the whole plan as orders.
func (f *fleet) checkOrders(in scheduler.Input, r scheduler.Result) {
	f.t.Helper()
	if len(r.Moves) == 0 {
		return
	}
	d := cluster.Decision{ID: in.State.NextDecisionID(), Result: cluster.ResultMoved, Refused: r.Refused, Counts: r.Counts, Text: r.Moves[0].Reason}
	_, err := in.State.Apply(cluster.Meta{Index: f.index + 1, Term: term},
		cluster.Command{Level: 1, Actor: leader, At: in.State.Now, Body: cluster.Decide{Decision: d, Orders: f.orders(r)}})
	if err != nil {
		f.t.Fatalf("the State does not take the plan: %v", err)
	}
}

var _ tester = (*testing.T)(nil)
