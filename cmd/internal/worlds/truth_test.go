package worlds

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// truth is where every VM really is and which migrations really run: what no
// daemon knows for sure, and what the laws are checked against.
type truth struct {
	f *fleet

	mu    sync.Mutex
	rng   *rand.Rand
	vms   []*vm
	jobs  map[string]*job // by VM's UUID
	calls map[string]int  // Migrate calls by order
	fixed *fate           // what every migration comes to, nil for chance
}

// vm is a virtual machine.
type vm struct {
	slot   uint32
	id     string
	at     map[int]agent.RunState // by host; a QEMU process is there
	demand cluster.MilliCPU       // it would use that much if it were alone
	stamp  string
}

// job is a migration under way.
type job struct {
	vm             *vm
	order          string
	source, target int
	fate           fate
	began          time.Time
	aborted        bool
	over           chan struct{}
	err            error // what the call returned
}

// fate is what becomes of a migration.
type fate struct {
	name    string
	takes   time.Duration // of undisturbed transfer
	moves   bool          // the VM runs at the target in the end
	err     string        // what the call says, "" for success
	breaks  time.Duration // the call breaks off after so long and the job goes on; 0 for never
	deaf    bool          // it cannot be aborted
	forever bool          // it ends only by being aborted
}

const (
	vcpus    = 2
	vmMemory = 2 * cluster.GiB
	// linkLoss is how long a transfer survives a cut line (26 s were measured).
	linkLoss = 26 * time.Second
)

func newTruth(f *fleet, n int) *truth {
	tr := &truth{f: f, rng: rand.New(rand.NewPCG(f.seed, 2)), jobs: map[string]*job{}, calls: map[string]int{}}
	for i := range n {
		v := &vm{slot: uint32(i), id: fmt.Sprintf("00000000-0000-4000-8000-%012x", i+1), at: map[int]agent.RunState{}}
		v.at[tr.rng.IntN(hypervisors)] = agent.RunStateRunning
		tr.vms = append(tr.vms, v)
	}
	tr.stir()
	return tr
}

// stir gives every VM another demand.
func (tr *truth) stir() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, v := range tr.vms {
		v.demand = cluster.MilliCPU(200 + tr.rng.IntN(vcpus*1000-200))
	}
}

// crowd puts so much on a host that it suffers, and little elsewhere. Call it
// before the fleet starts.
func (tr *truth) crowd(host int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i, v := range tr.vms {
		at := host
		v.demand = 1100
		if i >= 6 {
			at, v.demand = (host+1+i%(hypervisors-1))%hypervisors, 200
		}
		v.at = map[int]agent.RunState{at: agent.RunStateRunning}
	}
}

// crowdLive lets the host with the most VMs suffer.
func (tr *truth) crowdLive() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	n := map[int]int{}
	most := 0
	for _, v := range tr.vms {
		for h, s := range v.at {
			if s == agent.RunStateRunning {
				n[h]++
			}
		}
	}
	for h := range hypervisors {
		if n[h] > n[most] {
			most = h
		}
	}
	for _, v := range tr.vms {
		v.demand = 150
		if v.at[most] == agent.RunStateRunning {
			v.demand = 1400
		}
	}
}

// begun is how many migrations there were.
func (tr *truth) begun() (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, calls := range tr.calls {
		n += calls
	}
	return n
}

// started says whether libvirt was called for an order.
func (tr *truth) started(order string) bool { return tr.called(order) > 0 }

func (tr *truth) called(order string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.calls[order]
}

func (tr *truth) find(id string) *vm {
	i := slices.IndexFunc(tr.vms, func(v *vm) bool { return v.id == id })
	if i < 0 {
		return nil
	}
	return tr.vms[i]
}

// chance draws a fate.
func (tr *truth) chance() fate {
	if tr.fixed != nil {
		return *tr.fixed
	}
	takes := time.Duration(2+tr.rng.IntN(20)) * time.Second
	switch n := tr.rng.IntN(100); {
	case n < 60:
		return fate{name: "moves", takes: takes, moves: true}
	case n < 70:
		return fate{name: "fails", takes: takes, err: "unable to connect to server"}
	case n < 77:
		return fate{name: "never converges", forever: true, err: "operation aborted: canceled by client"}
	case n < 85:
		return fate{name: "moves, reply lost", takes: takes, moves: true, err: "connection reset by peer"}
	case n < 93:
		return fate{name: "call breaks off, job goes on", takes: takes + 20*time.Second, moves: tr.rng.IntN(2) == 0, err: "keepalive timeout", breaks: takes}
	}
	return fate{name: "hangs and cannot be aborted", takes: takes + 2*time.Minute, moves: tr.rng.IntN(2) == 0, deaf: true}
}

// begin is libvirt's call. Here the laws of execution are checked.
func (tr *truth) begin(host int, id, peer string) (*job, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	v := tr.find(id)
	var target int
	if _, err := fmt.Sscanf(peer, "world://%d", &target); err != nil || v == nil {
		return nil, fmt.Errorf("migrate %s to %q", id, peer)
	}
	tr.calls[v.stamp]++
	if n := tr.calls[v.stamp]; n > 1 {
		tr.f.broken("order %s was executed %d times", v.stamp, n)
	}
	tr.f.laws.mayExecute(v.stamp, id, tr.f.daemons[host].id, tr.f.daemons[target].id)
	if v.at[host] != agent.RunStateRunning || v.at[target] != agent.RunStateAbsent || tr.jobs[id] != nil {
		tr.f.broken("VM %d: migration from %d to %d was begun, but it is at %v, a job runs: %v", v.slot, host, target, v.at, tr.jobs[id] != nil)
		return nil, errors.New("domain is not running")
	}
	j := &job{vm: v, order: v.stamp, source: host, target: target, fate: tr.chance(), began: time.Now(), over: make(chan struct{})}
	tr.jobs[id] = j
	v.at[target] = agent.RunStatePaused
	tr.checkLimits()
	tr.f.count("migration " + j.fate.name)
	tr.f.trace("VM %d %d->%d for %s: migration begins, %s", v.slot, host, target, j.order, j.fate.name)
	return j, nil
}

// checkLimits holds what really is in flight against the limits.
func (tr *truth) checkLimits() {
	perHost := map[int]int{}
	for _, j := range tr.jobs {
		perHost[j.source]++
		perHost[j.target]++
	}
	for h, n := range perHost {
		if n > settings().PerHost {
			tr.f.broken("host %d has %d migrations in flight", h, n)
		}
	}
	if len(tr.jobs) > settings().PerCluster {
		tr.f.broken("%d migrations in flight", len(tr.jobs))
	}
	tr.f.peak(len(tr.jobs))
}

// run plays a migration; libvirt goes on without its client.
func (tr *truth) run(j *job) {
	const step = 100 * time.Millisecond
	var done, cut time.Duration
	err := errors.New(j.fate.err)
	if j.fate.err == "" {
		err = nil
	}
	for broke := false; ; {
		if !tr.f.sleep(step) {
			return
		}
		tr.mu.Lock()
		aborted := j.aborted
		tr.mu.Unlock()
		switch {
		case aborted && !j.fate.deaf:
			tr.end(j, false, errors.New("operation aborted: canceled by client"))
			return
		case cut > linkLoss:
			tr.end(j, false, errors.New("unable to write to socket: connection timed out"))
			return
		case !j.fate.forever && done >= j.fate.takes:
			tr.end(j, j.fate.moves, err)
			return
		case !broke && j.fate.breaks > 0 && done >= j.fate.breaks:
			broke = true
			tr.mu.Lock()
			j.err = err
			close(j.over)
			tr.mu.Unlock()
		}
		if tr.f.carries(j.source, j.target) {
			done, cut = done+step, 0
		} else if !tr.f.asleep(j.source) {
			cut += step
		}
	}
}

// end is the moment of the switch-over, or of its failure.
func (tr *truth) end(j *job, moves bool, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	gone := j.target
	if moves {
		gone = j.source
		j.vm.at[j.target] = agent.RunStateRunning
	}
	delete(j.vm.at, gone)
	delete(tr.jobs, j.vm.id)
	select {
	case <-j.over:
	default:
		j.err = err
		close(j.over)
	}
	tr.f.trace("VM %d %d->%d for %s: migration ended, moved: %v (%v)", j.vm.slot, j.source, j.target, j.order, moves, err)
	tr.census(j.vm)
}

// census: a VM runs on one host, always.
func (tr *truth) census(v *vm) {
	running := 0
	for _, s := range v.at {
		if s == agent.RunStateRunning {
			running++
		}
	}
	if running != 1 {
		tr.f.broken("VM %d runs on %d hosts: %v", v.slot, running, v.at)
	}
}

// quiet says whether no migration runs.
func (tr *truth) quiet() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.jobs) == 0
}

// home is the host on which a VM runs.
func (tr *truth) home(id string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for h, s := range tr.find(id).at {
		if s == agent.RunStateRunning {
			return h
		}
	}
	return -1
}

// inventory lists the VMs with a process on a host, and their loads: those
// that run share its CPUs by their demands.
func (tr *truth) inventory(host int) ([]cluster.VM, cluster.Load) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	l := cluster.Load{Window: 10 * time.Second, Source: cluster.SourceEBPF, CPUs: hostCPUs, Memory: hostMemory}
	var vms []cluster.VM
	var demand cluster.MilliCPU
	for _, v := range tr.vms {
		s := v.at[host]
		if s == agent.RunStateAbsent {
			continue
		}
		j := tr.jobs[v.id]
		vms = append(vms, cluster.VM{
			Slot: v.slot, UUID: v.id, Name: fmt.Sprint("vm", v.slot), VCPUs: vcpus, MaxMemory: vmMemory, Lock: cluster.LockLockable,
			Run: runOf(s), Incoming: s == agent.RunStatePaused, Migrating: j != nil && j.source == host,
		})
		if s == agent.RunStateRunning {
			demand += v.demand
		}
	}
	for _, m := range vms {
		if m.Run == cluster.RunRunning {
			l.VMs = append(l.VMs, tr.find(m.UUID).load(demand))
		}
	}
	sumUp(&l)
	return vms, l
}

func runOf(s agent.RunState) cluster.RunState {
	if s == agent.RunStateRunning {
		return cluster.RunRunning
	}
	return cluster.RunPaused
}

// load is the VM's on a host of which so much is demanded in all.
func (v *vm) load(demand cluster.MilliCPU) cluster.VMLoad {
	run := v.demand
	if demand > hostCPUs {
		run = v.demand * hostCPUs / demand
	}
	wait := v.demand - run
	steal := cluster.Ratio(int64(wait) * int64(cluster.Whole) / (vcpus * 1000))
	return cluster.VMLoad{
		Slot: v.slot, Run: run, Wait: wait, Demand: v.demand,
		Steal: steal, StealMax: steal, Contention: steal, ContentionMax: steal,
	}
}

func sumUp(l *cluster.Load) {
	var wait cluster.MilliCPU
	for _, v := range l.VMs {
		l.Use += v.Run
		wait += v.Wait
		l.StealMax = max(l.StealMax, v.StealMax)
	}
	if n := len(l.VMs); n > 0 {
		l.Steal = cluster.Ratio(int64(wait) * int64(cluster.Whole) / int64(n*vcpus*1000))
	}
	l.Contention, l.ContentionMax = l.Steal, l.StealMax
}

// hypervisor is one host's libvirt.
type hypervisor struct{ d *daemon }

var errLibvirt = fmt.Errorf("%w: the world says so", agent.ErrDisconnected)

// answers waits while the host is suspended and says whether libvirt answers.
func (h hypervisor) answers(ctx context.Context) (*truth, error) {
	if err := h.d.wake(ctx); err != nil {
		return nil, err
	}
	if h.d.libvirtDown() {
		return nil, errLibvirt
	}
	return h.d.f.truth, nil
}

func (h hypervisor) Guests(context.Context) ([]agent.Guest, error) { return nil, errLibvirt }

func (h hypervisor) Events(context.Context) (<-chan agent.GuestEvent, error) { return nil, errLibvirt }

func (h hypervisor) Stamp(ctx context.Context, id, order string) error {
	tr, err := h.answers(ctx)
	if err != nil {
		return err
	}
	if err := h.d.dawdle(ctx, 50*time.Millisecond); err != nil {
		return err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	v := tr.find(id)
	if v == nil || h.d.empty || v.at[h.d.i] != agent.RunStateRunning {
		return errors.New("domain not found")
	}
	v.stamp = order
	return nil
}

func (h hypervisor) Lets(ctx context.Context, _ agent.MigrateRequest) error {
	_, err := h.answers(ctx)
	return err
}

func (h hypervisor) Migrate(ctx context.Context, r agent.MigrateRequest) error {
	tr, err := h.answers(ctx)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(r.MigrateURI, "world://") {
		return fmt.Errorf("migrate to %q", r.MigrateURI)
	}
	if h.d.empty {
		return errors.New("domain not found")
	}
	j, err := tr.begin(h.d.i, r.VM, r.PeerURI)
	if err != nil {
		return err
	}
	tr.f.own.Go(func() { tr.run(j) })
	select {
	case <-j.over:
		if err := h.d.wake(ctx); err != nil {
			return err
		}
		return j.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h hypervisor) Job(ctx context.Context, id string) (agent.Job, error) {
	tr, err := h.answers(ctx)
	if err != nil {
		return agent.Job{}, err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	j := tr.jobs[id]
	if j == nil || j.source != h.d.i && j.target != h.d.i {
		return agent.Job{}, agent.ErrNoJob
	}
	return agent.Job{TotalBytes: int64(vmMemory), ProcessedBytes: int64(time.Since(j.began) / time.Microsecond)}, nil
}

func (h hypervisor) CompletedJob(ctx context.Context, _ string) (agent.Job, error) {
	if _, err := h.answers(ctx); err != nil {
		return agent.Job{}, err
	}
	return agent.Job{Downtime: 50 * time.Millisecond, ProcessedBytes: int64(vmMemory)}, nil
}

func (h hypervisor) PostCopy(context.Context, string) error {
	return errors.New("no world plays with post-copy")
}

func (h hypervisor) Abort(ctx context.Context, id string) error {
	tr, err := h.answers(ctx)
	if err != nil {
		return err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	j := tr.jobs[id]
	if j == nil || j.source != h.d.i {
		return agent.ErrNoJob
	}
	j.aborted = true
	return nil
}

// Resume resumes nothing: no fault of these worlds leaves a VM paused.
func (h hypervisor) Resume(_ context.Context, id string) error {
	return fmt.Errorf("resume %s: it is running", id)
}

// Definition: the VMs of these worlds are transient.
func (h hypervisor) Definition(ctx context.Context, _ string) (agent.Definition, error) {
	_, err := h.answers(ctx)
	return agent.Definition{}, err
}

func (h hypervisor) SetAutostart(_ context.Context, id string, _ bool) error {
	return fmt.Errorf("autostart of %s: it is transient", id)
}

func (h hypervisor) Look(ctx context.Context, id string) (agent.Sighting, error) {
	tr, err := h.answers(ctx)
	if err != nil {
		return agent.Sighting{}, err
	}
	if h.d.empty {
		return agent.Sighting{}, nil
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	s := tr.find(id).at[h.d.i]
	j := tr.jobs[id]
	return agent.Sighting{
		State: s, Process: s != agent.RunStateAbsent,
		JobRunning: j != nil && (j.source == h.d.i || j.target == h.d.i),
	}, nil
}
