package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/agent/cgroup"
	"github.com/evenkeel/evenkeel/agent/procfs"
	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Config is what an Agent needs.
type Config struct {
	Member     cluster.Member // what this host announces of itself
	Hypervisor Hypervisor
	Meter      Meter
	Busy       func() (ns uint64, err error) // time that the CPUs for VMs have been busy since boot
	Own        func() (ns uint64, err error) // time that this daemon has run
	Proc       procfs.Reader
	Groups     cgroup.Reader
	CPUs       procfs.CPUs // that VMs may use
	Block      BlockMeter  // nil: the kernel does not count block I/O
	Disks      Disks
	Stats      func(ctx context.Context) (map[string]GuestStats, error) // of all active VMs, by UUID
	// DirtyRate watches for a while how fast a VM's memory changes.
	DirtyRate func(ctx context.Context, vm string, period time.Duration) (bytesPerSec int64, err error)
	Uplink    Uplink
	Journal   *Journal
	Survey    Surveyor             // nil: nothing is checked before a move
	Images    Images               // nil: no disks are copied
	Relay     Relay                // nil: VMs neither come nor go by relay
	RelayDir  string               // of the relay's sockets
	Hooks     Hooks                // of this host, asked before its VMs move and told afterwards
	Hold      func() string        // why this host neither gives nor takes VMs, "" if it does; nil: it always does
	Uptime    func() time.Duration // CLOCK_BOOTTIME
	Now       func() time.Time     // this host's clock
	Logger    *slog.Logger
}

// Agent measures one host, publishes its load and carries out its moves.
type Agent struct {
	cfg  Config
	log  *slog.Logger
	exec *Executor

	mu       sync.Mutex
	guests   []Guest
	untold   int // VMs that are beyond what a host can tell of
	arrivals arrivals
	libvirt  error // why the last listing failed, nil if it did not
	view     cluster.View
	register *register
	window   window
	auditor  auditor
	gathered gatherings

	pollers    pollers
	dirty      map[string]dirtyRate
	dirtyTried map[string]time.Duration

	unlimited map[string]time.Duration // VMs without quotas, and when that was seen; gather's alone
	live      Live
	sampled   ProbeUse // of the scheduler's probe, by the newest sample
	blocks    ProbeUse
	relisted  chan struct{}
	detailed  detailed
	publisher cluster.Publisher // measure's alone
	listed    time.Duration     // when culprits were; measure's alone
}

// detailed says which details were published last.
type detailed struct {
	at        time.Duration
	inventory uint64
}

// The beats: a quiet host speaks every four seconds and promises five, a host
// that suffers or has a move in flight speaks every second and promises two.
// The slack between beat and promise keeps one late second from counting.
const (
	sampleEvery  = time.Second
	quietBeat    = 4 * time.Second
	quietPromise = 5 * time.Second
	hotPromise   = 2 * time.Second
	relistEvery  = 5 * time.Second
	// Details are much larger than figures, and less urgent.
	hotDetails   = 5 * time.Second
	quietDetails = time.Minute
)

// CulpritsEvery is how often a sample lists culprits, which only details tell
// of: so often that two lie in each window, also when a second comes late.
const CulpritsEvery = 4 * time.Second

// New makes an agent; Run runs it.
func New(cfg Config) *Agent {
	a := &Agent{
		cfg: cfg, log: cfg.Logger.With("part", "agent"),
		register: newRegister(cfg.Member.Incarnation), relisted: make(chan struct{}, 1),
		libvirt: ErrDisconnected, arrivals: arrivals{proc: cfg.Proc},
		dirty: map[string]dirtyRate{}, dirtyTried: map[string]time.Duration{},
	}
	a.live.Load.Source = cluster.SourceNone
	a.exec = NewExecutor(ExecutorConfig{
		Member: cfg.Member.ID, Incarnation: cfg.Member.Incarnation, Link: cfg.Member.MigrationLink, Hypervisor: cfg.Hypervisor, Uplink: cfg.Uplink,
		Journal: cfg.Journal, Survey: cfg.Survey, Images: cfg.Images, Relay: cfg.Relay, RelayDir: cfg.RelayDir, Hold: a.hold, Available: a.available, Hooks: cfg.Hooks, Live: a.Live, Uptime: cfg.Uptime, Logger: cfg.Logger,
	})
	return a
}

// Run measures and obeys until ctx ends, and waits for all that it started.
func (a *Agent) Run(ctx context.Context) {
	var wg sync.WaitGroup
	views := make(chan cluster.View, 1)
	wg.Go(func() { a.watchGuests(ctx) })
	wg.Go(func() { a.relay(ctx, views) })
	wg.Go(func() { a.exec.Serve(ctx, views) })
	wg.Go(func() { a.gather(ctx) })
	wg.Go(func() { a.measureDirty(ctx) })
	wg.Go(func() { a.describe(ctx) })
	a.measure(ctx)
	wg.Wait()
}

// Live is what this host knows of itself at this moment.
func (a *Agent) Live() Live {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live
}

// available is the memory that the kernel would give away now.
func (a *Agent) available() (cluster.Bytes, error) {
	m, err := a.cfg.Proc.Memory()
	return cluster.Bytes(m.AvailableBytes), err
}

// relay keeps the newest view for the measuring side, announces this member
// where the State does not know its present start, and hands views on.
func (a *Agent) relay(ctx context.Context, out chan cluster.View) {
	defer close(out)
	for {
		select {
		case <-ctx.Done():
			return
		case v, ok := <-a.cfg.Uplink.Views():
			if !ok {
				return
			}
			a.see(v)
			member := a.cfg.Member
			member.Hold = a.hold()
			if v.Announced != member.Incarnation || v.Hold != member.Hold {
				announce(ctx, a.cfg.Uplink, v.Cluster, member, a.log)
			}
			select { // latest wins
			case <-out:
			default:
			}
			out <- v
		}
	}
}

func (a *Agent) see(v cluster.View) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := v.Refused; r != nil && (a.view.Refused == nil || *r != *a.view.Refused) {
		a.log.Warn("a load snapshot was refused", "code", r.Code, "why", r.Text)
	}
	a.view = v
}

// watchGuests lists the VMs at every lifecycle event and every few seconds,
// since events can be lost, and tries again when libvirt goes away.
func (a *Agent) watchGuests(ctx context.Context) {
	for ctx.Err() == nil {
		events, err := a.cfg.Hypervisor.Events(ctx)
		if err != nil {
			events = nil // a nil channel never delivers: the ticker alone lists
		}
		a.listWhile(ctx, events)
	}
}

// listWhile lists until the event stream breaks off, or once after a pause if
// there is none.
func (a *Agent) listWhile(ctx context.Context, events <-chan GuestEvent) {
	ticker := time.NewTicker(relistEvery)
	defer ticker.Stop()
	for {
		a.list(ctx)
		if events == nil {
			_ = pause(ctx, sampleEvery) // the loop around looks at ctx
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case _, ok := <-events:
			if !ok {
				return
			}
			drain(events)
		}
	}
}

// drain takes the events that came with the first: one listing answers all.
func drain(events <-chan GuestEvent) {
	for {
		select {
		case _, ok := <-events:
			if !ok {
				return
			}
		default:
			return
		}
	}
}

func (a *Agent) list(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	guests, err := a.cfg.Hypervisor.Guests(asked)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if (err == nil) != (a.libvirt == nil) {
		a.log.Info("libvirt", "reachable", err == nil, "err", err)
	}
	if a.libvirt = err; err != nil {
		return // what was known stays: QEMU lives on without libvirtd
	}
	slices.SortFunc(guests, func(x, y Guest) int { return cmp.Compare(x.UUID, y.UUID) })
	all := len(guests)
	guests = a.register.bounded(guests)
	a.tells(guests, all)
	a.guests = guests
	a.arrivals.update(guests)
	if a.register.update(guests, a.arriving) {
		select {
		case a.relisted <- struct{}{}:
		default:
		}
	}
}

// arriving says whether a move of ours is bringing the VM here.
func (a *Agent) arriving(vm string) bool {
	return slices.ContainsFunc(a.view.Moves, func(m cluster.Move) bool { return m.VM == vm && m.Target == a.cfg.Member.ID })
}

// measure samples every second and publishes at the beat.
func (a *Agent) measure(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	var seq uint64
	var published time.Duration
	for {
		now := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.sample()
		case <-a.relisted:
			now = true
		}
		if !a.announced() {
			continue // the leader takes no figures of a start that it does not know
		}
		hot := a.hot()
		due := a.cfg.Uptime()-published >= quietBeat-sampleEvery/2
		if !now && !hot && !due {
			continue
		}
		seq++
		published = a.cfg.Uptime()
		snap, committed := a.snapshot(seq, hot)
		a.cfg.Uplink.Publish(a.publisher.Next(snap, committed))
	}
}

// sample reads every counter once and refreshes the live figures.
func (a *Agent) sample() {
	a.mu.Lock()
	guests := a.guests
	a.mu.Unlock()
	if err := a.cfg.Meter.Follow(guests); err != nil {
		a.log.Debug("some threads are not counted", "err", err)
	}
	reading, err := a.read()
	busy, busyErr := a.cfg.Busy()
	own, ownErr := a.cfg.Own()
	if err := errors.Join(err, busyErr, ownErr); err != nil {
		a.log.Error("sample", "err", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sampled = ProbeUse{Probe: ProbeRunQueue, Cost: reading.Cost, Lost: reading.Lost}
	a.window.add(sample{reading, busy, own})
	a.auditor.add(reading)
	a.refresh(hotPromise)
}

// read reads every counter, and the culprits as often as anybody is told of
// them.
func (a *Agent) read() (Reading, error) {
	now := a.cfg.Uptime()
	if now-a.listed < CulpritsEvery-sampleEvery/2 {
		return a.cfg.Meter.Read()
	}
	a.listed = now
	return a.cfg.Meter.ReadCulprits()
}

// refresh recomputes the live figures; a.mu is held.
func (a *Agent) refresh(promise time.Duration) {
	load := a.window.load(a.facts(promise))
	load.BookError = a.auditor.worst()
	a.gathered.tellHost(&load)
	a.live = Live{
		Load:      load,
		Inventory: a.register.now, MemoryUse: memoryUse(a.register.now.VMs), Connected: a.libvirt == nil,
	}
}

// facts are what figures are put together from, besides the window; a.mu is
// held.
func (a *Agent) facts(promise time.Duration) hostFacts {
	return hostFacts{
		cpus: a.cfg.Member.CPUs, memory: a.cfg.Member.Memory, inventory: a.register.now,
		source: a.cfg.Meter.Source(), takenAt: a.cfg.Now(), nextIn: promise,
		settling: func(vm string) bool { return a.arrivals.settling(vm, a.cfg.Uptime(), a.view.Settings.SettleIn()) },
		poller:   a.poller, throttled: a.gathered.throttled, halted: a.gathered.halted,
		task: func(pid int) string {
			process, err := a.cfg.Proc.Process(pid)
			if err != nil {
				return "" // it has ended
			}
			return process.Comm
		},
	}
}

// poller says whether a VM's guest polls; a.mu is held.
func (a *Agent) poller(vm string) bool {
	i := slices.IndexFunc(a.guests, func(g Guest) bool { return g.UUID == vm })
	return i >= 0 && a.pollers.poller(a.guests[i].VCPUThreads, a.cfg.Uptime())
}

// announced says whether the State knows this start of the daemon.
func (a *Agent) announced() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.view.Announced == a.cfg.Member.Incarnation
}

// hot says whether the leader should hear from this host every second.
func (a *Agent) hot() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.live.Load
	enter := a.view.Settings.Enter
	return len(a.view.Moves) > 0 || enter > 0 && l.Pain() >= enter
}

// snapshot is the newest window, with the inventory unless the State has it,
// and the sequence of the newest committed one.
func (a *Agent) snapshot(seq uint64, hot bool) (s cluster.Snapshot, committed uint64) {
	promise := quietPromise
	if hot {
		promise = hotPromise
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refresh(promise)
	s = cluster.Snapshot{Host: a.cfg.Member.ID, Incarnation: a.cfg.Member.Incarnation, Sequence: seq, Load: a.live.Load}
	if inv := a.register.now; inv.Revision != 0 && a.view.Inventory != inv.Revision {
		s.Inventory = &inv
	}
	every := quietDetails
	if hot {
		every = hotDetails
	}
	now, revision := a.cfg.Uptime(), a.register.now.Revision
	if !a.publisher.Known(a.view.Sequence) {
		every = hotDetails // the last ones may be lost
	}
	if now-a.detailed.at >= every || a.detailed.inventory != revision {
		if s.Details = a.window.details(&a.gathered, a.facts(promise)); s.Details != nil {
			a.detailed = detailed{now, revision}
			a.tellDirty(s.Details)
		}
	}
	return s, a.view.Sequence
}

// Counters are one VM's raw counters as of this moment.
type Counters struct {
	VM        string // UUID
	Name      string
	Threads   []int // ids of the vCPU threads, by vCPU
	RunNS     uint64
	WaitNS    uint64
	Waits     uint64
	Causes    bpf.Split // of WaitNS; zero if the source knows no causes
	Culprits  []bpf.Culprit
	Roles     [bpf.Roles]RoleReading // of all its threads; zero if the source knows no roles
	Source    cluster.Source
	Since     time.Time // when counting began
	SampledAt time.Time
	Block     *bpf.BlockVM // nil: the kernel does not count its block I/O
}

// Counters reads the raw counters of every VM here now.
func (a *Agent) Counters() ([]Counters, error) {
	reading, err := a.cfg.Meter.ReadCulprits()
	if err != nil {
		return nil, err
	}
	blocks := a.readBlock()
	now := a.cfg.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Counters
	for _, g := range a.guests {
		v, ok := reading.VMs[g.UUID]
		if !ok {
			continue
		}
		c := Counters{
			VM: g.UUID, Name: g.Name, Threads: slices.Clone(g.VCPUThreads), RunNS: v.RunNS, WaitNS: v.WaitNS, Waits: v.Waits,
			Causes: v.Causes, Culprits: v.Culprits, Roles: v.Roles, Source: a.cfg.Meter.Source(), Since: v.Since, SampledAt: now,
		}
		if b, ok := blocks[g.UUID]; ok {
			c.Block = &b
		}
		out = append(out, c)
	}
	return out, nil
}
