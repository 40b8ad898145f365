package worlds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/rpc"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// daemon is one evenkeeld: what outlives its process, and the process while
// it runs.
type daemon struct {
	f     *fleet
	i     int
	id    string
	name  string
	addr  string
	role  cluster.Role
	mem   *consensus.Memory // of a voter; nil
	dir   string            // of the executor's journal
	clock clock

	life chan struct{} // one start or stop at a time; no mutex, for virtual time passes meanwhile
	down int           // faults under way that keep the process down

	mu      sync.Mutex
	rng     *rand.Rand
	starts  uint64
	proc    *process      // nil while it is down
	sleeps  chan struct{} // closed when the host resumes; nil while it is awake
	stopped bool          // it is only the daemon that sleeps: its VMs run on
	libvirt int           // faults under way that keep libvirt from answering
	frozen  int           // faults under way that freeze the disk
	full    int           // faults under way that fill it
	slow    int           // faults under way that slow it down
	empty   bool          // no VM is to be seen here
	dying   bool          // the process ends: what it was writing gets through
}

// process is a run of a daemon.
type process struct {
	d           *daemon
	incarnation uint64
	node        *consensus.Node // nil if it is no voter
	batch       atomic.Pointer[rpc.Batcher]
	view        atomic.Pointer[cluster.View]
	views       chan cluster.View
	seq         uint64
	shown       []cluster.VM // the inventory as it was last numbered
	revision    uint64

	ctx  context.Context
	end  context.CancelFunc
	work sync.WaitGroup
}

// clock is a host's own: it may be off, and run fast or slow.
type clock struct {
	off   atomic.Int64 // ns
	drift atomic.Int64 // ppm
	since atomic.Int64 // virtual ns, when the drift began
}

// epoch puts virtual time, which begins in 2000, where an hour less is still a
// year that the State believes in.
const epoch = 20 * 365 * 24 * time.Hour

func (c *clock) now() time.Time {
	now := time.Now()
	drifted := time.Duration((now.UnixNano() - c.since.Load()) / 1e6 * c.drift.Load())
	return now.Add(epoch + time.Duration(c.off.Load()) + drifted)
}

func (d *daemon) running() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proc
}

// at is the host's address; move gives it another one.
func (d *daemon) at() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addr
}

func (d *daemon) move(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addr = addr
	d.mem.Move(addr)
}

func (d *daemon) chance(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

func (d *daemon) libvirtDown() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.libvirt > 0
}

// wake waits while the host is suspended.
func (d *daemon) wake(ctx context.Context) error {
	d.mu.Lock()
	sleeps := d.sleeps
	d.mu.Unlock()
	if sleeps == nil {
		return ctx.Err()
	}
	select {
	case <-sleeps:
		return ctx.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// dawdle lets up to d pass, or much more now and then.
func (d *daemon) dawdle(ctx context.Context, most time.Duration) error {
	if d.chance(40) == 0 {
		most *= 100
	}
	t := time.NewTimer(time.Duration(d.chance(int(most))))
	defer t.Stop()
	select {
	case <-t.C:
		return d.wake(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start ends a fault that keeps the process down.
func (d *daemon) start() {
	d.life <- struct{}{}
	defer func() { <-d.life }()
	if d.down = max(d.down-1, 0); d.down == 0 {
		d.run()
	}
}

// run runs the daemon as cmd/evenkeeld does.
func (d *daemon) run() {
	p := &process{d: d, views: make(chan cluster.View, 1)}
	p.ctx, p.end = context.WithCancel(context.Background())
	d.mu.Lock()
	d.starts++
	p.incarnation = d.starts
	d.mu.Unlock()
	if d.mem != nil {
		node, err := consensus.OpenInMemory(consensus.Config{
			Member: d.id, Cluster: clusterID, Role: d.role, Address: d.at(), Network: wire{d}, Peers: d.f.peers, BootstrapExpect: voters,
			Logger: slog.New(slog.DiscardHandler), Clock: d.clock.now,
			Publish: func(a consensus.Applied) { d.f.laws.applied(d.i, a) },
		}, d.mem)
		if err != nil {
			d.f.t.Error(err)
			return
		}
		p.node = node
		p.work.Go(func() { p.lead() })
		p.work.Go(func() { p.listen() })
	}
	d.mu.Lock()
	d.proc = p
	d.mu.Unlock()
	d.f.connect()
	p.work.Go(func() { p.attach() })
	p.work.Go(func() { p.beat() })
	if d.role == cluster.RoleHypervisor {
		p.work.Go(func() { p.execute() })
	}
}

// stop ends the process in good order.
func (d *daemon) stop() {
	d.life <- struct{}{}
	defer func() { <-d.life }()
	d.down++
	d.halt()
}

// halt ends the process. What it was writing is written before it returns, or
// never.
func (d *daemon) halt() {
	p := d.running()
	if p == nil {
		return
	}
	p.end()
	p.work.Wait()
	if p.node != nil {
		d.dies(true)
		if err := p.node.Close(); err != nil {
			d.f.t.Errorf("seed %d at %v: close %s: %v", d.f.seed, d.f.age(), d.name, err)
		}
		d.dies(false)
	}
	d.mu.Lock()
	d.proc = nil
	d.mu.Unlock()
	d.f.connect()
}

// kill ends the process of which nobody hears: its host is cut off first.
func (d *daemon) kill() {
	d.life <- struct{}{}
	defer func() { <-d.life }()
	d.down++
	d.f.isolate(d.i, +1)
	d.halt()
	d.f.isolate(d.i, -1)
}

// dies lets what a process was writing when it ended be written then, and not
// later.
func (d *daemon) dies(yes bool) {
	d.mu.Lock()
	d.dying = yes
	d.mu.Unlock()
	d.ail()
}

// ail lets the disk do as its faults have it.
func (d *daemon) ail() {
	if d.mem == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mem.Fill(d.full > 0 && !d.dying)
	d.mem.Slow(time.Duration(min(d.slow, 1)) * 200 * time.Millisecond)
	if d.frozen > 0 && !d.dying {
		d.mem.Freeze()
	} else {
		d.mem.Thaw()
	}
}

// harm changes how many faults harm the disk.
func (d *daemon) harm(frozen, full, slow int) {
	d.mu.Lock()
	d.frozen += frozen
	d.full += full
	d.slow += slow
	d.mu.Unlock()
	d.ail()
}

// twinOf is a copy of a hypervisor's disk in another machine, where no VM runs.
func (f *fleet) twinOf(d *daemon) *daemon {
	twin := &daemon{
		f: f, i: d.i, id: d.id, name: d.name, addr: d.at(), role: d.role, dir: d.dir + "-twin", life: make(chan struct{}, 1),
		rng: rand.New(rand.NewPCG(f.seed, 77)), starts: d.starts - 1, empty: true,
	}
	return twin
}

// suspend stops a host's time: nothing on it makes progress, and what it had
// begun comes late.
func (d *daemon) suspend() {
	d.mu.Lock()
	d.sleeps = make(chan struct{})
	d.mu.Unlock()
	d.harm(+1, 0, 0)
	d.f.connect()
}

// freeze stops the daemon alone, as SIGSTOP does.
func (d *daemon) freeze() {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.suspend()
}

func (d *daemon) resume() {
	d.mu.Lock()
	close(d.sleeps)
	d.sleeps, d.stopped = nil, false
	d.mu.Unlock()
	d.harm(-1, 0, 0)
	d.f.connect()
}

// lead runs the leader's loop while this member leads.
func (p *process) lead() {
	loop := rebalancer.New(rebalancer.Config{
		Replica: sleeper{p}, Self: cluster.Actor{Kind: cluster.KindAgent, ID: p.d.id, Name: p.d.name}, Now: p.d.clock.now,
		Logger: slog.New(slog.DiscardHandler),
	})
	for yes := false; p.ctx.Err() == nil; {
		if !yes {
			select {
			case <-p.ctx.Done():
			case yes = <-p.node.Leadership():
			}
			continue
		}
		ctx, cease := context.WithCancel(p.ctx)
		var reign sync.WaitGroup
		reign.Go(func() { loop.Run(ctx) })
		select {
		case <-p.ctx.Done():
		case yes = <-p.node.Leadership():
		}
		cease()
		reign.Wait()
	}
}

// sleeper is a replica as its own process knows it: while the host is
// suspended it knows nothing.
type sleeper struct{ p *process }

func (s sleeper) State() (cluster.State, uint64) { return s.p.node.State() }

func (s sleeper) Propose(ctx context.Context, c cluster.Command) (uint64, error) {
	if err := s.p.d.wake(s.p.ctx); err != nil {
		return 0, err
	}
	return s.p.propose(ctx, c)
}

// propose is the replica's, under the laws' eyes.
func (p *process) propose(ctx context.Context, c cluster.Command) (uint64, error) {
	if c.ID == "" {
		if !c.Sequenced() {
			c.ID = p.d.f.nextID()
		}
	}
	index, err := p.node.Propose(ctx, c)
	if err == nil || cluster.RefusalOf(err) != nil {
		p.d.f.laws.acknowledged(p.d.i, index, c.ID)
	}
	return index, err
}

// listen takes the agents' snapshots while this member leads.
func (p *process) listen() {
	for p.ctx.Err() == nil {
		changed := p.node.Changed()
		if term, leads := p.node.Leading(); leads {
			p.d.f.elected(p.d.i, term)
			p.reign(term)
			continue
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
		}
	}
}

// reign runs the batcher while this member leads in a term.
func (p *process) reign(term uint64) {
	ctx, end := context.WithCancel(p.ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer end()
	b := rpc.NewBatcher(p.node, 100*time.Millisecond, slog.New(slog.DiscardHandler))
	work.Go(func() { b.Run(ctx) })
	p.batch.Store(b)
	defer p.batch.Store(nil)
	for {
		changed := p.node.Changed()
		if now, _ := p.node.Leading(); now != term {
			return
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return
		}
	}
}

// execute runs the agent's executor on the views.
func (p *process) execute() {
	journal, err := agent.OpenJournal(p.d.dir)
	if err != nil {
		p.d.f.t.Error(err)
		return
	}
	agent.NewExecutor(agent.ExecutorConfig{
		Member: p.d.id, Incarnation: p.incarnation, Hypervisor: hypervisor{p.d}, Uplink: uplink{p}, Journal: journal, Live: p.live,
		Uptime: func() time.Duration { return time.Since(p.d.f.began) }, Logger: slog.New(slog.DiscardHandler),
	}).Serve(p.ctx, p.views)
}

// see is what there is on this host.
func (d *daemon) see() ([]cluster.VM, cluster.Load) {
	if d.empty {
		return nil, cluster.Load{Window: 10 * time.Second, Source: cluster.SourceEBPF, CPUs: hostCPUs, Memory: hostMemory}
	}
	return d.f.truth.inventory(d.i)
}

func (p *process) live() agent.Live {
	vms, load := p.d.see()
	var use cluster.Bytes
	for _, v := range vms {
		use += v.MaxMemory + cluster.VMOverhead
	}
	return agent.Live{Load: load, Inventory: cluster.Inventory{VMs: vms}, MemoryUse: use, Connected: !p.d.libvirtDown()}
}

// attach is the leader's stream: a view at every change, and every second.
func (p *process) attach() {
	for p.ctx.Err() == nil {
		changed := (<-chan struct{})(nil)
		if l := p.d.f.leaderFor(p.d); l != nil && p.d.wake(p.ctx) == nil {
			changed = l.node.Changed()
			s, _ := l.node.State()
			p.deliver(s.ViewFor(p.d.id))
		}
		if !p.rest(100 * time.Millisecond) {
			return
		}
		select {
		case <-changed:
		case <-time.After(900 * time.Millisecond):
		case <-p.ctx.Done():
		}
	}
}

func (p *process) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// deliver replaces what the executor has not taken yet.
func (p *process) deliver(v cluster.View) {
	p.view.Store(&v)
	if p.d.role != cluster.RoleHypervisor {
		return
	}
	select {
	case <-p.views:
	default:
	}
	p.views <- v
}

// beat announces this start, and publishes a snapshot every second while
// the host is hot, every five else.
func (p *process) beat() {
	for n := 0; p.rest(time.Second); n++ {
		v := p.view.Load()
		if v == nil || p.d.wake(p.ctx) != nil {
			continue
		}
		if v.Announced != p.incarnation {
			p.announce()
			continue
		}
		if p.d.role == cluster.RoleHypervisor {
			p.publish(*v, n)
		}
	}
}

func (p *process) announce() {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	_, _ = uplink{p}.Propose(ctx, cluster.Command{Body: cluster.Announce{Cluster: clusterID, Member: cluster.Member{
		ID: p.d.id, Name: p.d.name, Role: p.d.role, Incarnation: p.incarnation, Level: cluster.CurrentLevel, Version: "world",
		APIAddress: "10.0.0.1:7470", Address: p.d.at(), CPUs: hostCPUs, Memory: hostMemory,
		MigrationPeerURI: fmt.Sprint("world://", p.d.i), MigrationURI: "world://",
	}}})
}

func (p *process) publish(v cluster.View, n int) {
	vms, load := p.d.see()
	if p.revision == 0 || !equal(vms, p.shown) {
		p.revision++
		p.shown = vms
	}
	hot := len(v.Moves) > 0 || load.Pain() >= settings().Enter
	if !hot && n%5 != 0 && v.Inventory == p.number() {
		return
	}
	load.TakenAt, load.NextIn, load.Inventory = cluster.TimeOf(p.d.clock.now()), 5*time.Second, p.number()
	if hot {
		load.NextIn = 2 * time.Second
	}
	p.seq++
	s := cluster.Snapshot{Host: p.d.id, Incarnation: p.incarnation, Sequence: p.seq, Load: load}
	if v.Inventory != p.number() {
		s.Inventory = &cluster.Inventory{Revision: p.number(), VMs: vms}
	}
	uplink{p}.Publish(s)
}

// number keeps revisions of the inventory apart across restarts.
func (p *process) number() uint64 { return p.incarnation<<32 | p.revision }

func equal(a, b []cluster.VM) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// uplink is the agent's line to the leader. It loses answers, and sends
// things twice, late, and in another order.
type uplink struct{ p *process }

var (
	errNoLeader = errors.New("no leader found")
	errLost     = errors.New("the answer was lost")
)

// Publish implements agent.Uplink.
func (u uplink) Publish(s cluster.Snapshot) {
	l := u.p.d.f.leaderFor(u.p.d)
	if l == nil {
		return
	}
	if b := l.batch.Load(); b != nil {
		if err := b.Put(s); err != nil {
			u.p.d.f.t.Error(err)
		}
	}
}

// Views implements agent.Uplink.
func (u uplink) Views() <-chan cluster.View { return u.p.views }

// Propose implements agent.Uplink.
func (u uplink) Propose(ctx context.Context, c cluster.Command) (uint64, error) {
	d := u.p.d
	c.Actor = cluster.Actor{Kind: cluster.KindAgent, ID: d.id, Name: d.name}
	if err := d.f.passes(ctx, c.Kind()); err != nil {
		return 0, err
	}
	if c.ID == "" {
		c.ID = d.f.nextID()
	}
	if err := d.dawdle(ctx, 10*time.Millisecond); err != nil {
		return 0, err
	}
	if d.f.wild {
		u.repeat(c)
	}
	l := d.f.leaderFor(d)
	if l == nil {
		return 0, errNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	index, err := l.propose(ctx, c)
	if slept := d.dawdle(u.p.ctx, 10*time.Millisecond); slept != nil {
		return 0, slept
	}
	if d.f.wild && d.chance(20) == 0 || !d.f.reaches(l.d.i, d.i) {
		d.f.count("answer lost")
		return 0, errLost
	}
	return index, err
}

// repeat sends a command once more, soon or much later.
func (u uplink) repeat(c cluster.Command) {
	d := u.p.d
	after := time.Duration(d.chance(2000)) * time.Millisecond
	switch d.chance(20) {
	case 0:
		d.f.count("command sent twice")
	case 1:
		after *= 300
		d.f.count("command replayed late")
	default:
		return
	}
	d.f.own.Go(func() {
		if !d.f.sleep(after) {
			return
		}
		if l := d.f.leaderFor(d); l != nil {
			ctx, cancel := context.WithTimeout(d.f.ctx, 5*time.Second)
			defer cancel()
			_, _ = l.propose(ctx, c)
		}
	})
}
