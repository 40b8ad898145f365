package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

const (
	clusterID = "00000000-0000-0000-0000-0000000000c1"
	hvA       = "00000000-0000-0000-0000-00000000000a"
	hvB       = "00000000-0000-0000-0000-00000000000b"
	vm1       = "00000000-0000-0000-0000-000000000001"
)

// stage is a cluster of one State and two hosts' executors whose hypervisors
// share a small world. Time is synctest's.
type stage struct {
	t    *testing.T
	mu   sync.Mutex
	s    cluster.State
	idx  uint64
	term uint64

	world world
	ups   map[string]*uplink
	seq   map[string]uint64
	dirs  map[string]string
	stops map[string]func()

	surveys   map[string]agent.Surveyor     // of hosts; others check nothing
	images    map[string]agent.Images       // of hosts; others make none
	hooks     string                        // directory of hooks of both hosts
	link      cluster.BytesPerSecond        // of each host's migrations
	available func() (cluster.Bytes, error) // at both hosts
}

// world is where the VM really is.
type world struct {
	mu       sync.Mutex
	at       map[string]agent.RunState // host → state of vm1; absent if missing
	job      bool                      // a migration is under way
	script   func(ctx context.Context, w *world) error
	called   int
	asked    agent.MigrateRequest // of the last call
	aborted  bool
	switched bool // to post-copy

	defined  map[string]agent.Definition // by host; none: transient
	setFails int                         // times that autostart can't be set

	lets   error        // libvirt's word on whether the VM may go
	atLets func(*world) // what happens while it is asked; it has the lock

	resumed  int  // times that a host resumed the VM
	byPerson bool // a person paused it, no migration
}

func (w *world) set(host string, s agent.RunState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[host] = s
}

// definitions are those that there are now; a host goes on with its own.
func (w *world) definitions() map[string]agent.Definition {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.defined)
}

func (w *world) running() (hosts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range []string{hvA, hvB} {
		if w.at[h] == agent.RunStateRunning {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// transfer is a migration that takes three seconds and succeeds.
func transfer(ctx context.Context, w *world) error {
	for range 30 {
		time.Sleep(100 * time.Millisecond)
		w.mu.Lock()
		aborted := w.aborted
		w.mu.Unlock()
		if aborted {
			return errors.New("operation aborted: migration out job: canceled by client")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = map[string]agent.RunState{hvB: w.arrival()}
	return nil
}

// arrival is what the VM does at the target right after the migration.
func (w *world) arrival() agent.RunState {
	if w.asked.ArrivePaused {
		return agent.RunStatePaused
	}
	return agent.RunStateRunning
}

// endless is a migration that never converges.
func endless(_ context.Context, w *world) error {
	for {
		time.Sleep(100 * time.Millisecond)
		w.mu.Lock()
		aborted := w.aborted
		w.mu.Unlock()
		if aborted {
			return errors.New("canceled by client")
		}
	}
}

// untilSwitched does not converge. Once it was switched to post-copy the VM runs
// at the target, and the rest takes a while, which nobody may cut short.
func untilSwitched(_ context.Context, w *world) error {
	for {
		time.Sleep(100 * time.Millisecond)
		w.mu.Lock()
		aborted, switched := w.aborted, w.switched
		w.mu.Unlock()
		switch {
		case aborted:
			return errors.New("canceled by client")
		case switched:
			w.mu.Lock()
			w.at = map[string]agent.RunState{hvA: agent.RunStatePaused, hvB: agent.RunStateRunning}
			w.mu.Unlock()
			time.Sleep(25 * time.Second)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.at = map[string]agent.RunState{hvB: agent.RunStateRunning}
			return nil
		}
	}
}

// hypervisor is one host's view of the world.
type hypervisor struct {
	w    *world
	host string
}

func (h hypervisor) Guests(context.Context) ([]agent.Guest, error) { return nil, nil }
func (h hypervisor) Events(context.Context) (<-chan agent.GuestEvent, error) {
	return nil, agent.ErrDisconnected
}
func (h hypervisor) Stamp(context.Context, string, string) error { return nil }

func (h hypervisor) Lets(context.Context, agent.MigrateRequest) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.atLets != nil {
		h.w.atLets(h.w)
	}
	return h.w.lets
}

func (h hypervisor) Migrate(ctx context.Context, r agent.MigrateRequest) error {
	h.w.mu.Lock()
	h.w.called++
	h.w.asked = r
	h.w.job = true
	script := h.w.script
	h.w.mu.Unlock()
	done := make(chan error, 1)
	go func() { // libvirt goes on without its client
		err := script(context.Background(), h.w)
		h.w.mu.Lock()
		h.w.job = false
		h.w.mu.Unlock()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h hypervisor) Job(context.Context, string) (agent.Job, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if !h.w.job {
		return agent.Job{}, agent.ErrNoJob
	}
	return agent.Job{TotalBytes: 100, ProcessedBytes: 60, RemainingBytes: 40}, nil
}

func (h hypervisor) CompletedJob(context.Context, string) (agent.Job, error) {
	return agent.Job{Downtime: 41 * time.Millisecond, ProcessedBytes: 128 << 20}, nil
}

func (h hypervisor) Abort(context.Context, string) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if !h.w.job {
		return agent.ErrNoJob
	}
	h.w.aborted = true
	return nil
}

func (h hypervisor) PostCopy(context.Context, string) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if !h.w.asked.PostCopy {
		return errors.New("post-copy can only be started while outgoing migration is in progress with it")
	}
	h.w.switched = true
	return nil
}

func (h hypervisor) Resume(context.Context, string) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.at[h.host] != agent.RunStatePaused {
		return errors.New("Requested operation is not valid: domain is already running")
	}
	h.w.at[h.host], h.w.resumed = agent.RunStateRunning, h.w.resumed+1
	return nil
}

func (h hypervisor) Definition(context.Context, string) (agent.Definition, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.at[h.host] == agent.RunStateAbsent && !h.w.defined[h.host].Persistent {
		return agent.Definition{}, agent.ErrNoVM
	}
	return h.w.defined[h.host], nil
}

func (h hypervisor) SetAutostart(_ context.Context, _ string, on bool) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.w.setFails > 0 {
		h.w.setFails--
		return errors.New("cannot create autostart directory")
	}
	d := h.w.defined[h.host]
	if !d.Persistent {
		return agent.ErrNoVM
	}
	d.Autostart = on
	h.w.defined[h.host] = d
	return nil
}

func (h hypervisor) Look(context.Context, string) (agent.Sighting, error) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	s := h.w.at[h.host]
	return agent.Sighting{
		State: s, Process: s != agent.RunStateAbsent, JobRunning: h.w.job,
		PausedByMigration: s == agent.RunStatePaused && !h.w.byPerson,
	}, nil
}

// uplink proposes straight to the stage's State as its host.
type uplink struct {
	st    *stage
	host  string
	views chan cluster.View
	drop  func(cluster.Body) error // a fault: what the proposer sees instead of the answer
}

func (u *uplink) Publish(cluster.Snapshot)   {}
func (u *uplink) Views() <-chan cluster.View { return u.views }

func (u *uplink) Propose(_ context.Context, c cluster.Command) (uint64, error) {
	c.Actor = cluster.Actor{Kind: cluster.KindAgent, ID: u.host}
	err := u.st.apply(c)
	if u.drop != nil {
		if lost := u.drop(c.Body); lost != nil {
			return 0, lost
		}
	}
	return 0, err
}

func (st *stage) apply(c cluster.Command) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.idx++
	c.At = cluster.TimeOf(time.Now())
	var err error
	st.s, err = st.s.Apply(cluster.Meta{Index: st.idx, Term: st.term}, c)
	return err
}

func (st *stage) state() cluster.State {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.s
}

func (st *stage) must(c cluster.Command) {
	st.t.Helper()
	if err := st.apply(c); err != nil {
		st.t.Fatalf("%s: %v", c.Kind(), err)
	}
}

func newStage(t *testing.T) *stage {
	st := &stage{
		t: t, s: cluster.New(clusterID), term: 1,
		ups: map[string]*uplink{}, seq: map[string]uint64{}, dirs: map[string]string{}, stops: map[string]func(){},
	}
	st.world.at = map[string]agent.RunState{hvA: agent.RunStateRunning}
	st.world.script = transfer
	set := cluster.DefaultSettings()
	set.AllowUnlocked, set.WarmUp = true, 0
	operator := cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}
	for _, h := range []string{hvA, hvB} {
		st.dirs[h] = filepath.Join(t.TempDir(), h)
		st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindAgent, ID: h}, Body: cluster.Announce{Cluster: clusterID, Member: cluster.Member{
			ID: h, Name: "hv-" + h[35:], Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: 1000, Memory: 8 * cluster.GiB,
			MigrationPeerURI: "qemu+tcp://x/system", MigrationURI: "tcp://x",
		}}})
	}
	st.must(cluster.Command{Level: 1, Actor: operator, Body: cluster.SetSettings{Settings: set}})
	st.must(cluster.Command{Level: 1, Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
	st.beat()
	return st
}

func inventoryOf(host string) *cluster.Inventory {
	inv := &cluster.Inventory{Revision: 1}
	if host == hvA {
		inv.VMs = []cluster.VM{{Slot: 0, UUID: vm1, Name: "web", VCPUs: 1, MaxMemory: cluster.GiB, Run: cluster.RunRunning, Lock: cluster.LockNone}}
	}
	return inv
}

func loadOf(host string, steal cluster.Ratio) cluster.Load {
	l := cluster.Load{
		TakenAt: cluster.TimeOf(time.Now()), Window: 10 * time.Second, NextIn: 5 * time.Second, Inventory: 1,
		Source: cluster.SourceEBPF, CPUs: 1000, Memory: 8 * cluster.GiB,
	}
	if host == hvA {
		l.Contention, l.ContentionMax = steal, steal
		l.VMs = []cluster.VMLoad{{Slot: 0, Run: 250, Wait: 750, Demand: 1000, Steal: steal, StealMax: steal, Contention: steal, ContentionMax: steal}}
	}
	return l
}

// beat keeps both hosts fresh.
func (st *stage) beat() {
	for _, h := range []string{hvA, hvB} {
		st.seq[h]++
		snap := cluster.Snapshot{Host: h, Incarnation: 1, Sequence: st.seq[h], Load: loadOf(h, cluster.Percent(75))}
		if st.seq[h] == 1 {
			snap.Inventory = inventoryOf(h)
		}
		_ = st.apply(cluster.Command{Level: 1, Body: cluster.Snapshots{Batch: []cluster.Snapshot{snap}}})
	}
}

// start runs a host's executor, as evenkeeld does, until its stop is called.
func (st *stage) start(host string, live func(*agent.Live)) {
	j, err := agent.OpenJournal(st.dirs[host])
	if err != nil {
		st.t.Fatal(err)
	}
	up := &uplink{st: st, host: host, views: make(chan cluster.View)}
	st.ups[host] = up
	x := agent.NewExecutor(agent.ExecutorConfig{
		Member: host, Incarnation: 1, Link: st.link, Hypervisor: hypervisor{&st.world, host}, Uplink: up, Journal: j, Survey: st.surveys[host], Images: st.images[host],
		Available: st.available,
		Hooks:     agent.Hooks{Dir: st.hooks, Host: "hv-" + host[35:], Logger: slog.New(slog.DiscardHandler)},
		Live: func() agent.Live {
			l := agent.Live{Load: loadOf(host, cluster.Percent(75)), Inventory: *inventoryOf(host), Connected: true}
			if live != nil {
				live(&l)
			}
			return l
		},
		Uptime: func() time.Duration { return time.Since(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)) },
		Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { x.Serve(ctx, up.views) })
	wg.Go(func() { // the leader's stream
		for ctx.Err() == nil {
			select {
			case up.views <- st.state().ViewFor(host):
			case <-ctx.Done():
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	st.stops[host] = func() { cancel(); wg.Wait() }
}

func (st *stage) stop() {
	for _, stop := range st.stops {
		stop()
	}
}

// order commits a move of vm1 from A to B.
func (st *stage) order() {
	st.t.Helper()
	st.orderWith(func(*cluster.Order) {})
}

func (st *stage) orderWith(change func(*cluster.Order)) {
	st.t.Helper()
	s := st.state()
	now := cluster.TimeOf(time.Now())
	o := cluster.Order{
		ID: s.NextMoveID(0), VM: vm1, Source: hvA, Target: hvB, Trigger: cluster.TriggerAuto, Reason: "test", Term: st.term,
		DecidedOn: s.Index, Deadline: now.Add(30 * time.Second), StartWindow: 30 * time.Second, Budget: time.Minute,
		Predicted: cluster.Effect{SourceContentionBefore: cluster.Percent(75)},
	}
	change(&o)
	st.must(cluster.Command{Level: 1, Body: cluster.Decide{
		Decision: cluster.Decision{ID: s.NextDecisionID(), Index: s.Index, Result: cluster.ResultMoved},
		Orders:   []cluster.Order{o},
	}})
}

// play lets virtual time pass: hosts beat, the leader expires what is overdue.
func (st *stage) play(d time.Duration) cluster.Move {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Second)
		st.beat()
		for m := range st.state().Live() {
			_ = st.apply(cluster.Command{Level: 1, Body: cluster.Expire{Move: m.ID}})
		}
	}
	synctest.Wait() // what is due at this very moment is part of the scene
	for _, m := range st.state().MovesBackward() {
		return m
	}
	st.t.Fatal("no move was ordered")
	return cluster.Move{}
}

// story runs one scene in virtual time and checks what holds in all of them:
// libvirt is called at most once.
func story(t *testing.T, name string, scene func(t *testing.T, st *stage)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			scene(t, st)
			st.stop()
			synctest.Wait()
			if st.world.called > 1 {
				t.Errorf("libvirt was called %d times for one order", st.world.called)
			}
		})
	})
}

func expect(t *testing.T, m cluster.Move, state cluster.MoveState, code cluster.Code) {
	t.Helper()
	if m.State != state || m.WhyCode != code {
		t.Errorf("move ended %s %s (%s), want %s %s", m.State, m.WhyCode, m.Why, state, code)
	}
}

func TestMoves(t *testing.T) {
	story(t, "a granted order moves the VM once and both ends prove it", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveDone, "")
		if m.Downtime != 41*time.Millisecond || m.Progress.Processed != 60 || m.ReservedAt == 0 || m.ClaimedAt < m.ReservedAt {
			t.Errorf("downtime %v, progress %+v, reserved %v, claimed %v", m.Downtime, m.Progress, m.ReservedAt, m.ClaimedAt)
		}
	})
	story(t, "the source vetoes when its own figures say that it no longer suffers", func(t *testing.T, st *stage) {
		st.start(hvA, func(l *agent.Live) { l.Load.Contention, l.Load.ContentionMax = 0, 0 })
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(5*time.Second), cluster.MoveVetoed, cluster.CodeRelieved)
	})
	story(t, "a source that does not suffer gives a VM that makes room for another", func(t *testing.T, st *stage) {
		st.start(hvA, func(l *agent.Live) { l.Load.Contention, l.Load.ContentionMax = 0, 0 })
		st.start(hvB, nil)
		st.orderWith(func(o *cluster.Order) { o.Code = cluster.CodeMakesRoom })
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
	})
	story(t, "the target vetoes what does not fit its memory", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.start(hvB, func(l *agent.Live) { l.MemoryUse = 7 * cluster.GiB })
		st.order()
		expect(t, st.play(5*time.Second), cluster.MoveVetoed, cluster.CodeNoHeadroom)
	})
	story(t, "without the target's consent nothing starts", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.order()
		expect(t, st.play(40*time.Second), cluster.MoveExpired, cluster.CodeNotReserved)
		if st.world.called != 0 {
			t.Error("libvirt was called")
		}
	})
	story(t, "a pause between order and claim stops it", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.order()
		st.must(cluster.Command{Level: 1, Body: cluster.Pause{Until: cluster.TimeOf(time.Now().Add(time.Hour))}})
		st.start(hvB, nil)
		expect(t, st.play(40*time.Second), cluster.MoveExpired, cluster.CodeDeadlinePassed)
		if st.world.called != 0 {
			t.Error("libvirt was called")
		}
	})
	story(t, "a migration that fails leaves the VM where it was", func(t *testing.T, st *stage) {
		st.world.script = func(context.Context, *world) error { return errors.New("unable to connect to server") }
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveFailed, "")
		if m.Report == "" {
			t.Error("libvirt's words are lost")
		}
	})
	story(t, "the call fails although the VM moved: evidence decides", func(t *testing.T, st *stage) {
		st.world.script = func(ctx context.Context, w *world) error {
			_ = transfer(ctx, w)
			return errors.New("connection reset")
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
	})
	story(t, "running on both hosts is unknown at once, and stays so", func(t *testing.T, st *stage) {
		st.world.script = func(_ context.Context, w *world) error {
			w.set(hvB, agent.RunStateRunning)
			return errors.New("timed out")
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(5 * time.Second)
		expect(t, m, cluster.MoveUnknown, "")
		if _, held := st.state().LiveMove(vm1); !held {
			t.Error("the VM is not quarantined")
		}
		expect(t, st.play(60*time.Second), cluster.MoveUnknown, "")
	})
	story(t, "a silent target makes it unknown; its later word settles it", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.world.script = func(ctx context.Context, w *world) error {
			st.stops[hvB]()
			return transfer(ctx, w)
		}
		st.order()
		expect(t, st.play(60*time.Second), cluster.MoveUnknown, "")
		st.start(hvB, nil)
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
	})
	story(t, "the source's daemon dies in pre-copy: the next one adopts the job", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		st.play(2 * time.Second)
		st.stops[hvA]()
		if m := st.play(4 * time.Second); m.State != cluster.MoveRunning {
			t.Fatalf("while its source is silent the move is %s", m.State)
		}
		st.start(hvA, nil)
		expect(t, st.play(10*time.Second), cluster.MoveDone, "")
	})
	story(t, "a lost answer to the claim is asked for again, and granted once", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.start(hvB, nil)
		lost := 0
		st.ups[hvA].drop = func(b cluster.Body) error {
			if _, claim := b.(cluster.Claim); claim && lost < 3 {
				lost++
				return fmt.Errorf("connection lost after sending")
			}
			return nil
		}
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
		if lost == 0 {
			t.Error("the fault never struck")
		}
	})
	story(t, "a budget that is spent aborts, and the VM stays", func(t *testing.T, st *stage) {
		st.world.script = endless
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(90 * time.Second)
		expect(t, m, cluster.MoveAborted, "")
		if got := st.world.running(); len(got) != 1 || got[0] != hvA {
			t.Errorf("the VM runs on %v", got)
		}
		if want := "not done within its time budget of " + m.Budget.String() + ": canceled by client"; !strings.HasSuffix(m.Report, want) {
			t.Errorf("reported %q, want %q", m.Report, want)
		}
	})
	story(t, "a daemon that adopts a migration grants it no new budget", func(t *testing.T, st *stage) {
		st.world.script = endless
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(10 * time.Second)
		for spent := 10 * time.Second; spent < m.Budget; spent += 10 * time.Second {
			st.stops[hvA]()
			st.start(hvA, nil)
			m = st.play(10 * time.Second)
		}
		m = st.play(5 * time.Second)
		expect(t, m, cluster.MoveAborted, "")
		if took := m.EndedAt.Sub(m.StartedAt); took > m.Budget+5*time.Second {
			t.Errorf("aborted after %v, its budget is %v", took, m.Budget)
		}
	})
	story(t, "libvirt is asked for what the policy allows", func(t *testing.T, st *stage) {
		set := cluster.DefaultSettings()
		set.AllowUnlocked, set.WarmUp = true, 0
		set.Bandwidth, set.MaxDowntime, set.AutoConverge = cluster.BytesPerSecond(64*cluster.MiB), time.Second, true
		set.Parallel = 4
		st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveDone, "")
		if r := st.world.asked; r.BandwidthBytesPerSec != 64<<20 || r.MaxDowntime != time.Second || !r.AutoConverge || r.Parallel != 4 || r.Unsafe {
			t.Errorf("libvirt was asked for %+v", r)
		}
	})
	story(t, "where the policy says nothing, a migration takes half of the link", func(t *testing.T, st *stage) {
		st.link = 125_000_000
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveDone, "")
		if want := (cluster.Limit{Rate: 62_500_000, By: cluster.LimitSource}); m.Limit != want || st.world.asked.BandwidthBytesPerSec != 62_500_000 {
			t.Errorf("limit %+v, libvirt was asked for %d bytes/s", m.Limit, st.world.asked.BandwidthBytesPerSec)
		}
	})
	for _, c := range []struct {
		name  string
		allow bool
		state cluster.MoveState
	}{
		{"with post-copy, one that does not converge goes on at the target at half its budget", true, cluster.MoveDone},
		{"without, it is aborted at the end of it", false, cluster.MoveAborted},
	} {
		story(t, c.name, func(t *testing.T, st *stage) {
			set := st.state().Settings
			set.PostCopy = c.allow
			st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
			st.world.script = untilSwitched
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.order()
			m := st.play(90 * time.Second)
			expect(t, m, c.state, "")
			half := m.Budget / 2
			if took := m.JobEndedAt.Sub(m.StartedAt); c.allow && (took < half || took > half+30*time.Second) {
				t.Errorf("it ended after %v of a budget of %v", took, m.Budget)
			}
			if st.world.switched != c.allow || st.world.aborted == c.allow {
				t.Errorf("switched %v, aborted %v", st.world.switched, st.world.aborted)
			}
		})
	}
	story(t, "an operator's cancel reaches a running migration", func(t *testing.T, st *stage) {
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(2 * time.Second)
		st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, Name: "ann"}, Body: cluster.Cancel{Move: m.ID}})
		expect(t, st.play(10*time.Second), cluster.MoveAborted, "")
	})
	story(t, "a source that restarts with a claim in hand gives it back", func(t *testing.T, st *stage) {
		st.start(hvB, nil)
		st.order()
		st.play(2 * time.Second)
		m := st.play(0)
		st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindAgent, ID: hvA}, Body: cluster.Claim{Move: m.ID, Incarnation: 1}})
		st.start(hvA, nil)
		expect(t, st.play(5*time.Second), cluster.MoveReleased, "")
		if st.world.called != 0 {
			t.Error("libvirt was called")
		}
	})
}
