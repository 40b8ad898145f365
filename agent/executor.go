package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Executor carries out this host's share of the moves in the views that the
// leader pushes: as a source it re-validates, claims, migrates and reports;
// as a target it consents and testifies. It starts nothing that was not
// granted by a committed claim.
type Executor struct {
	cfg  ExecutorConfig
	log  *slog.Logger
	seen map[string]time.Duration // order → CLOCK_BOOTTIME of its first sight
	mu   sync.Mutex
	busy map[string]*duty // move → what is being done for it
	// passages are the moves that the relay has a way open for; nil until it
	// was asked.
	passages  map[string]bool
	unstarted map[string]time.Duration // VM → when its autostart was unset here; observe's alone
	clearing  map[string]time.Duration // move → until when its images are not tried to be deleted again; observe's alone
	wg        sync.WaitGroup
}

// ExecutorConfig is what an Executor needs.
type ExecutorConfig struct {
	Member      string // this host's member UUID
	Incarnation uint64
	Link        cluster.BytesPerSecond // of this host's migrations; 0: not known
	Hypervisor  Hypervisor
	Uplink      Uplink
	Journal     *Journal
	Survey      Surveyor // nil: nothing is checked before a move
	Images      Images   // nil: no disks are copied
	Relay       Relay    // nil: VMs neither come nor go by relay
	RelayDir    string   // of the relay's sockets
	Hold        func() string
	Available   func() (cluster.Bytes, error) // memory that this host has free by its kernel's word; nil: nobody asks
	Hooks       Hooks                         // its zero value asks nobody
	// Live gives this host's own figures of this moment; orders are judged by
	// them, not by what was replicated.
	Live   func() Live
	Uptime func() time.Duration // CLOCK_BOOTTIME
	Logger *slog.Logger
}

// Live is what this host knows of itself now.
type Live struct {
	Load      cluster.Load // newest window; its Source is none if nothing could be measured
	Inventory cluster.Inventory
	MemoryUse cluster.Bytes // of the VMs here, with their overhead
	Connected bool          // libvirt answers
}

// duty is work under way for one move. The newest view of the move reaches it
// through latest, so that a cancel is heard.
type duty struct {
	mu     sync.Mutex
	latest cluster.Move
	cancel context.CancelFunc
	// began is when the migration did, on CLOCK_BOOTTIME; 0 before. It belongs to
	// whoever works on the duty.
	began time.Duration
	// postCopy says that the migration may be switched to post-copy, switched that
	// it was. They are the same worker's.
	postCopy, switched bool
}

func (d *duty) move() cluster.Move {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.latest
}

// NewExecutor makes an executor; Serve runs it.
func NewExecutor(cfg ExecutorConfig) *Executor {
	return &Executor{cfg: cfg, log: cfg.Logger.With("part", "executor"), seen: map[string]time.Duration{}, unstarted: map[string]time.Duration{}, clearing: map[string]time.Duration{}, busy: map[string]*duty{}}
}

// Serve acts on views until the channel is closed or ctx ends, and waits for
// its own goroutines. A running migration is left to libvirt: it goes on, and
// the next start of the daemon adopts it.
func (x *Executor) Serve(ctx context.Context, views <-chan cluster.View) {
	defer x.wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case v, ok := <-views:
			if !ok {
				return
			}
			x.observe(ctx, v)
		}
	}
}

// observe starts a duty for every move that needs something from this host.
func (x *Executor) observe(ctx context.Context, v cluster.View) {
	x.forget(ctx, v)
	x.unstart(ctx, v)
	x.clearImages(ctx, v)
	for _, m := range v.Moves {
		x.sight(m.ID)
		if d := x.dutyOf(m); d != nil {
			continue // it has been told
		}
		if work := x.workFor(m, v); work != nil {
			x.begin(ctx, m, work)
		}
	}
}

// sight notes when an order was first seen here: its start window counts from
// then.
func (x *Executor) sight(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, known := x.seen[id]; !known {
		x.seen[id] = x.cfg.Uptime()
	}
}

// forget drops what is remembered of moves that are no longer live.
func (x *Executor) forget(ctx context.Context, v cluster.View) {
	live := make(map[string]bool, len(v.Moves))
	for _, m := range v.Moves {
		live[m.ID] = true
	}
	x.mu.Lock()
	maps.DeleteFunc(x.seen, func(id string, _ time.Duration) bool { return !live[id] })
	x.mu.Unlock()
	x.closePassages(ctx, live)
	moves, err := x.cfg.Journal.Moves()
	if err != nil {
		x.log.Error("journal cannot be read", "err", err)
		return
	}
	for _, id := range moves {
		if x.isBusy(id) || live[id] {
			continue
		}
		if err := x.cfg.Journal.Drop(id); err != nil {
			x.log.Error("journal entry of an ended move stays", "move", id, "err", err)
		}
	}
}

func (x *Executor) dutyOf(m cluster.Move) *duty {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.busy[m.ID]
	if d != nil {
		d.mu.Lock()
		d.latest = m
		d.mu.Unlock()
	}
	return d
}

func (x *Executor) isBusy(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.busy[id] != nil
}

// workFor says what this host must do for a move now, or nil.
func (x *Executor) workFor(m cluster.Move, v cluster.View) func(context.Context, *duty) error {
	if m.Target == x.cfg.Member {
		switch {
		case m.Arrived(v.Now):
			return func(ctx context.Context, d *duty) error { return x.adopt(ctx, d, v.Now) }
		case m.State == cluster.MoveOrdered && m.ReservedAt == 0:
			return func(ctx context.Context, d *duty) error { return x.consent(ctx, d, v.Check(m.ID), v.Settings) }
		case m.State == cluster.MoveRunning && m.JobEndedAt != 0, m.State == cluster.MoveUnknown:
			return func(ctx context.Context, d *duty) error { return x.testify(ctx, d, v.Now, 0) }
		}
		return nil
	}
	peer, _ := v.Peer(m.Target)
	switch {
	case x.repairs(m, v):
		return func(ctx context.Context, d *duty) error { return x.adopt(ctx, d, v.Now) }
	case m.State == cluster.MoveOrdered && m.ReservedAt != 0:
		return func(ctx context.Context, d *duty) error { return x.carryOut(ctx, d, peer, v) }
	case m.State == cluster.MoveRunning && m.JobEndedAt != 0, m.State == cluster.MoveUnknown:
		return func(ctx context.Context, d *duty) error { return x.testify(ctx, d, v.Now, 0) }
	case m.State == cluster.MoveClaimed, m.State == cluster.MoveRunning:
		return func(ctx context.Context, d *duty) error {
			if m.StartedAt != 0 {
				d.began = x.cfg.Uptime() - max(v.Now.Sub(m.StartedAt), 0)
			}
			return x.recover(ctx, d)
		}
	}
	return nil
}

// begin runs work for a move in a goroutine of its own.
func (x *Executor) begin(ctx context.Context, m cluster.Move, work func(context.Context, *duty) error) {
	ctx, cancel := context.WithCancel(ctx)
	d := &duty{latest: m, cancel: cancel}
	x.mu.Lock()
	x.busy[m.ID] = d
	x.mu.Unlock()
	x.wg.Go(func() {
		defer cancel()
		err := work(ctx, d)
		level := slog.LevelWarn
		if err == nil || errors.Is(err, context.Canceled) {
			level = slog.LevelDebug
		}
		x.log.Log(ctx, level, "move", "move", m.ID, "vm", m.VMName, "state", m.State, "err", err)
		_ = pause(ctx, 200*time.Millisecond) // no spinning on a view that has not caught up yet
		x.mu.Lock()
		delete(x.busy, m.ID)
		x.mu.Unlock()
	})
}

// pause waits; it returns early with ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// consent is the target's part before a move: it agrees from its own live
// figures or vetoes.
func (x *Executor) consent(ctx context.Context, d *duty, c cluster.Check, set cluster.Settings) error {
	m := d.move()
	ctx, cancel := context.WithTimeout(ctx, m.StartWindow)
	defer cancel()
	if r := cmp.Or(x.held("target"), x.objection(m, set), x.cramped(m, c, set)); r != nil {
		return x.veto(ctx, m, r)
	}
	if r := x.receivable(ctx, m, c); r != nil {
		return x.veto(ctx, m, r)
	}
	if r := x.makeImages(ctx, m); r != nil {
		return x.veto(ctx, m, r)
	}
	if r := x.admit(ctx, m); r != nil {
		return x.veto(ctx, m, r)
	}
	return commit(ctx, x.cfg.Uplink, cluster.Reserve{Move: m.ID})
}

// objection says why this host should not receive the VM, or nil.
func (x *Executor) objection(m cluster.Move, set cluster.Settings) *cluster.Refusal {
	live := x.cfg.Live()
	full := set.Admit(cluster.Charge{Most: live.MemoryUse + m.MaxMemory + cluster.VMOverhead}, live.Load.Memory)
	pain := live.Load.Pain()
	switch {
	case !live.Connected:
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: "libvirt does not answer at the target"}
	case live.Load.Source == cluster.SourceNone:
		return &cluster.Refusal{Code: cluster.CodePoorQuality, Text: "the target cannot measure itself"}
	case full != nil:
		return full
	case m.Trigger == cluster.TriggerAuto && pain >= m.Predicted.SourceContentionBefore:
		return &cluster.Refusal{Code: cluster.CodeTargetBusy, Text: fmt.Sprintf("contention at the target is %v now, no better than the source's %v", pain, m.Predicted.SourceContentionBefore)}
	}
	return nil
}

// cramped says that what the VM has in use does not fit into what is free here
// by the kernel's own word, or nil. What the VMs may use at most is counted as
// well, but other programs' memory is not in that, and KSM's savings and
// balloons do not come along. Where those maxima may exceed memory, what is not
// known to be in use counts at its maximum.
func (x *Executor) cramped(m cluster.Move, c cluster.Check, set cluster.Settings) *cluster.Refusal {
	used := c.Resident
	if used == 0 && set.Overcommits() {
		used = m.MaxMemory
	}
	if x.cfg.Available == nil || used == 0 || c.Need != nil && len(c.Need.Pages) > 0 {
		return nil // huge pages were set aside, and are counted by themselves
	}
	free, err := x.cfg.Available()
	if err != nil {
		return notRead("the memory that is free at the target", err)
	}
	if need := used + cluster.VMOverhead; need > free {
		return &cluster.Refusal{Code: cluster.CodeNoHeadroom, Text: fmt.Sprintf("it has %v in use, with its overhead %v, and %v is free at the target by its kernel's word", used, need, free)}
	}
	return nil
}

func (x *Executor) veto(ctx context.Context, m cluster.Move, r *cluster.Refusal) error {
	x.log.Info("veto", "move", m.ID, "vm", m.VMName, "code", r.Code, "why", r.Text)
	return commit(ctx, x.cfg.Uplink, cluster.Veto{Move: m.ID, Code: r.Code, Text: r.Text})
}

// testify is an end's word after the job has ended: it looks until what it
// sees is conclusive, or commits what it sees after a while all the same, so
// that people can read it. Now is the State's, of the view that asked for it;
// stood is how long the VM stood paused here after it had come.
func (x *Executor) testify(ctx context.Context, d *duty, now cluster.Time, stood time.Duration) error {
	m := d.move()
	e, err := x.look(ctx, m.VM, 10*time.Second)
	if err != nil {
		return err
	}
	t := cluster.Testify{Move: m.ID, Evidence: e}
	if m.Target == x.cfg.Member && e.Presence == cluster.PresenceRunning {
		asked, cancel := context.WithTimeout(ctx, 3*time.Second)
		job, err := x.cfg.Hypervisor.CompletedJob(asked, m.VM)
		cancel()
		if err == nil {
			t.Downtime, t.Bytes = job.Downtime+stood, cluster.Bytes(max(job.ProcessedBytes, 0))
		}
	}
	had := m.AtSource
	if m.Target == x.cfg.Member {
		had = m.AtTarget
	}
	if had != nil && had.Presence == e.Presence && had.Process == e.Process && !m.AskedAgain(x.cfg.Member, now) {
		return pause(ctx, 5*time.Second) // nothing new to say
	}
	t.Autostart = m.Target == x.cfg.Member && x.keep(ctx, m, e)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return commit(ctx, x.cfg.Uplink, t)
}

// look asks the hypervisor until its answer proves something, for a while.
// After that the last answer is returned as it is; an error means that there
// was none.
func (x *Executor) look(ctx context.Context, vm string, patience time.Duration) (cluster.Evidence, error) {
	var last cluster.Evidence
	err := errors.New("not looked yet")
	for until := x.cfg.Uptime() + patience; ; {
		asked, cancel := context.WithTimeout(ctx, 3*time.Second)
		s, lookErr := x.cfg.Hypervisor.Look(asked, vm)
		cancel()
		if lookErr == nil {
			e, conclusive := s.evidence()
			if conclusive {
				return e, nil
			}
			if last, err = e, nil; s.JobRunning {
				last.Presence = cluster.PresenceOther
			}
		} else if err != nil {
			err = fmt.Errorf("look for %s: %w", vm, lookErr)
		}
		if x.cfg.Uptime() >= until {
			return last, err
		}
		if stopped := pause(ctx, 250*time.Millisecond); stopped != nil {
			return last, stopped
		}
	}
}
