package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// carryOut is the source's part of a move from its reservation to its end.
func (x *Executor) carryOut(ctx context.Context, d *duty, target cluster.Member, v cluster.View) error {
	m := d.move()
	if r := cmp.Or(x.held("source"), x.unfit(m, v.Settings)); r != nil {
		return x.veto(ctx, m, r)
	}
	if m.Try {
		return x.claimed(ctx, d, target, v) // nothing will move: hooks are not to make ready for it
	}
	told := hookMove(m, target.Name)
	if r := x.cfg.Hooks.Pre(ctx, told); r != nil {
		return x.veto(ctx, m, r)
	}
	if err := x.claimed(ctx, d, target, v); err != nil {
		return err // who finds the move in hand tells what became of it
	}
	x.afterwards(ctx, told)
	return nil
}

// claimed claims the move, and starts it within its window.
func (x *Executor) claimed(ctx context.Context, d *duty, target cluster.Member, v cluster.View) error {
	m := d.move()
	if err := x.claim(ctx, m); err != nil {
		return err
	}
	if why := x.tooLate(m); why != "" {
		return x.release(ctx, m, why)
	}
	return x.start(ctx, d, target, v)
}

func hookMove(m cluster.Move, target string) HookMove {
	return HookMove{ID: m.ID, VM: m.VM, VMName: m.VMName, Target: target, Trigger: m.Trigger}
}

// afterwards tells the hook what became of a move that is over here.
func (x *Executor) afterwards(ctx context.Context, told HookMove) {
	if ctx.Err() != nil || !x.cfg.Hooks.waits(postMove) {
		return // the daemon stops: who adopts the move tells
	}
	e, err := x.look(ctx, told.VM, 10*time.Second)
	if err != nil {
		x.log.Warn("the hook after a move was not told", "move", told.ID, "err", err)
		return
	}
	x.cfg.Hooks.Post(ctx, told, e.Presence == cluster.PresenceAbsent)
}

// unfit re-validates an order against this moment, or says nil.
func (x *Executor) unfit(m cluster.Move, set cluster.Settings) *cluster.Refusal {
	live := x.cfg.Live()
	i := slices.IndexFunc(live.Inventory.VMs, func(vm cluster.VM) bool { return vm.UUID == m.VM })
	pain := live.Load.Pain()
	switch {
	case !live.Connected:
		return &cluster.Refusal{Code: cluster.CodeNotReady, Text: "libvirt does not answer at the source"}
	case i < 0:
		return &cluster.Refusal{Code: cluster.CodeUnknownVM, Text: "the VM is not here any more"}
	case live.Inventory.VMs[i].Run != cluster.RunRunning:
		return &cluster.Refusal{Code: cluster.CodeNotRunning, Text: fmt.Sprintf("the VM is %s now", live.Inventory.VMs[i].Run)}
	case live.Inventory.VMs[i].Migrating:
		return &cluster.Refusal{Code: cluster.CodeMoveInFlight, Text: "the VM has a migration job that is not ours"}
	case m.Trigger != cluster.TriggerAuto:
		return nil
	case live.Load.Source == cluster.SourceNone:
		return &cluster.Refusal{Code: cluster.CodePoorQuality, Text: "the source cannot measure itself now"}
	case m.Code == cluster.CodeMakesRoom || m.Code == cluster.CodeUndo: // it is another host, or one VM, that suffers
		return nil
	case pain < set.Exit:
		return &cluster.Refusal{Code: cluster.CodeRelieved, Text: fmt.Sprintf("contention here is %v now, below the exit threshold of %v", pain, set.Exit)}
	}
	return nil
}

// tooLate says that the start window has passed, by the clock that also runs
// while a host is suspended.
func (x *Executor) tooLate(m cluster.Move) string {
	if age := x.cfg.Uptime() - x.firstSight(m); age > m.StartWindow {
		return fmt.Sprintf("start window of %v passed: the order was first seen here %v ago", m.StartWindow, age.Round(time.Millisecond))
	}
	return ""
}

func (x *Executor) firstSight(m cluster.Move) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen[m.ID]
}

func (x *Executor) claim(ctx context.Context, m cluster.Move) error {
	if err := x.note(m, PhaseClaiming); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.StartWindow)
	defer cancel()
	return commit(ctx, x.cfg.Uplink, cluster.Claim{Move: m.ID, Incarnation: x.cfg.Incarnation})
}

func (x *Executor) note(m cluster.Move, p Phase) error {
	return x.cfg.Journal.Put(Entry{Move: m.ID, VM: m.VM, Phase: p, Incarnation: x.cfg.Incarnation, At: time.Now().UTC()})
}

func (x *Executor) release(ctx context.Context, m cluster.Move, why string) error {
	return x.releaseFor(ctx, m, &cluster.Refusal{Text: why})
}

func (x *Executor) releaseFor(ctx context.Context, m cluster.Move, r *cluster.Refusal) error {
	x.log.Info("release", "move", m.ID, "vm", m.VMName, "code", r.Code, "why", r.Text)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return commit(ctx, x.cfg.Uplink, cluster.Release{Move: m.ID, Text: r.Text, Code: r.Code})
}

// departure is all that a migration takes, and what was found to hold at this
// moment.
type departure struct {
	MigrateRequest
	kept  kept
	limit cluster.Limit
}

// depart makes ready for a migration, or says what stands against it. The
// first look at the VM tells what a stamp that libvirt does not take would
// not; the last one is as late as can be.
func (x *Executor) depart(ctx context.Context, m cluster.Move, target cluster.Member, v cluster.View) (d departure, r *cluster.Refusal) {
	if r := x.still(ctx, m); r != nil {
		return d, r
	}
	if err := x.cfg.Hypervisor.Stamp(ctx, m.VM, m.ID); err != nil {
		return d, &cluster.Refusal{Text: fmt.Sprintf("libvirt does not take the order's stamp: %v", err)}
	}
	route, err := x.route(ctx, m, target)
	if err != nil {
		return d, &cluster.Refusal{Text: fmt.Sprintf("no way to the target: %v", err)}
	}
	set := v.Settings
	if r := x.departable(ctx, m, route, v); r != nil {
		return d, r
	}
	if d.kept, r = x.keeps(ctx, m, set.Definitions); r != nil {
		return d, r
	}
	if r := x.noteImages(m); r != nil {
		return d, r
	}
	d.limit = set.Limit(cluster.Member{MigrationLink: x.cfg.Link}, target)
	d.MigrateRequest = MigrateRequest{
		VM: m.VM, PeerURI: route.PeerURI, MigrateURI: route.MigrateURI, Persist: d.kept.persist, Undefine: d.kept.undefine,
		BandwidthBytesPerSec: int64(d.limit.Rate), MaxDowntime: set.MaxDowntime,
		AutoConverge: set.AutoConverge, Parallel: parallel(set.Parallel, v.Check(m.ID)), ArrivePaused: m.ArrivesPaused,
		PostCopy: set.PostCopy && !m.ArrivesPaused && len(m.Copies) == 0, Unsafe: set.Leeway().Unsafe,
		// Who has libvirt's orders encrypted does not want the memory in the clear.
		TLS:       strings.HasPrefix(route.PeerURI, "qemu+tls:"),
		CopyDisks: targetsOf(m.Copies), DisksURI: route.DisksURI,
	}
	if r := x.lets(ctx, m, d.MigrateRequest); r != nil {
		return d, r
	}
	return d, x.still(ctx, m)
}

func targetsOf(copies []cluster.DiskCopy) (targets []string) {
	for _, c := range copies {
		targets = append(targets, c.Target)
	}
	return targets
}

// start commits that the migration begins, then calls libvirt. The order of
// the steps is the promise: stamp, journal, committed start, journal, call.
func (x *Executor) start(ctx context.Context, d *duty, target cluster.Member, v cluster.View) error {
	m := d.move()
	ready, r := x.depart(ctx, m, target, v)
	if r != nil {
		return x.releaseFor(ctx, m, r)
	}
	if m.Try {
		return x.releaseFor(ctx, m, tried)
	}
	if err := x.note(m, PhaseStarting); err != nil {
		return errors.Join(err, x.release(ctx, m, "the journal cannot be written"))
	}
	if why := x.tooLate(m); why != "" {
		return x.release(ctx, m, why) // libvirt took its time over the stamp, or the host slept
	}
	begun, cancel := context.WithTimeout(ctx, m.StartWindow)
	err := commit(begun, x.cfg.Uplink, cluster.Start{Move: m.ID, Autostart: ready.kept.autostart, Limit: ready.limit})
	cancel()
	if r := cluster.RefusalOf(err); r != nil {
		return x.release(ctx, m, r.Text)
	}
	if err != nil {
		return err // not known whether the start was committed: recover finds out
	}
	if why := x.tooLate(m); why != "" {
		return x.report(ctx, m, why, false)
	}
	if err := x.note(m, PhaseRunning); err != nil {
		return x.report(ctx, m, err.Error(), false)
	}
	return x.migrate(ctx, d, ready)
}

// migrate calls libvirt and stays with the job until it is over. The call
// outlives the daemon's wish to stop: libvirt goes on without its client.
func (x *Executor) migrate(ctx context.Context, d *duty, r departure) error {
	m := d.move()
	d.postCopy = r.PostCopy
	x.log.Info("migration begins", "move", m.ID, "vm", m.VMName, "target", m.Target, "by", r.PeerURI)
	result := make(chan error, 1)
	// Nothing waits longer than the call: a VM that arrives paused stands still
	// until this end has given its word.
	during, over := context.WithCancel(ctx)
	defer over()
	x.wg.Go(func() {
		result <- x.cfg.Hypervisor.Migrate(ctx, r.MigrateRequest)
		over()
	})
	abortedBy := x.accompany(during, d, func() bool { return len(result) > 0 })
	if ctx.Err() != nil {
		return context.Cause(ctx) // the daemon stops; the job is adopted at its next start
	}
	err := <-result
	x.log.Info("migration call returned", "move", m.ID, "vm", m.VMName, "err", err)
	if err == nil {
		x.leave(ctx, m, r.kept)
	}
	return x.settle(ctx, d, words(err), abortedBy)
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// accompany reports a job's progress once a second, switches it to post-copy at
// half its budget if that is allowed, and aborts it when its budget is spent or
// an operator asks. It returns when over says so or ctx ends, and tells why it
// asked libvirt to abort the job, "" if it did not.
func (x *Executor) accompany(ctx context.Context, d *duty, over func() bool) (abortedBy string) {
	if d.began == 0 {
		d.began = x.cfg.Uptime()
	}
	budget := d.move().Budget
	for tick := 0; !over(); tick++ {
		if pause(ctx, 100*time.Millisecond) != nil {
			return abortedBy
		}
		if tick%10 != 5 {
			continue
		}
		m := d.move()
		why := ""
		switch {
		case m.AbortAsked:
			why = "aborted on request"
		case d.switched: // nobody can end it any more without losing the VM
		case d.postCopy && x.cfg.Uptime()-d.began > budget/2 && x.switchOver(ctx, m):
			d.switched = true
		case x.cfg.Uptime()-d.began > budget:
			why = fmt.Sprintf("aborted, for it was not done within its time budget of %v", budget)
		}
		// The job's end, which ends ctx as well, may come before libvirt's answer.
		if why != "" && x.abort(context.WithoutCancel(ctx), m) && abortedBy == "" {
			abortedBy = why
		}
		x.progress(ctx, m)
	}
	return abortedBy
}

// switchOver has the VM run on at the target before all of it is there.
func (x *Executor) switchOver(ctx context.Context, m cluster.Move) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := x.cfg.Hypervisor.PostCopy(ctx, m.VM)
	x.log.Info("post-copy: it did not converge in half its time budget", "move", m.ID, "vm", m.VMName, "err", err)
	return err == nil
}

func (x *Executor) abort(ctx context.Context, m cluster.Move) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := x.cfg.Hypervisor.Abort(ctx, m.VM)
	if err != nil && !errors.Is(err, ErrNoJob) {
		x.log.Warn("abort", "move", m.ID, "vm", m.VMName, "err", err)
	}
	return err == nil
}

// progress is worth one try: the next second brings a better figure.
func (x *Executor) progress(ctx context.Context, m cluster.Move) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	job, err := x.cfg.Hypervisor.Job(ctx, m.VM)
	if err != nil {
		return
	}
	_, err = x.cfg.Uplink.Propose(ctx, cluster.Command{Body: cluster.Advance{Move: m.ID, Progress: cluster.Progress{
		Total: cluster.Bytes(max(job.TotalBytes, 0)), Processed: cluster.Bytes(max(job.ProcessedBytes, 0)),
		Remaining: cluster.Bytes(max(job.RemainingBytes, 0)), DirtyRate: cluster.BytesPerSecond(max(job.DirtyBytesPerSec, 0)),
		Bandwidth: cluster.BytesPerSecond(max(job.BandwidthBytesPerSec, 0)), Iteration: max(job.Iteration, 0), Throttle: max(job.ThrottlePercent, 0),
	}}})
	if err != nil {
		x.log.Debug("progress not committed", "move", m.ID, "err", err)
	}
}

// settle waits until no job runs on the VM any more, whatever the call said,
// and reports. An RPC that timed out is not a migration that failed.
func (x *Executor) settle(ctx context.Context, d *duty, report, abortedBy string) error {
	m := d.move()
	quiet := func() bool {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		s, err := x.cfg.Hypervisor.Look(ctx, m.VM)
		return err == nil && !s.JobRunning
	}
	abortedBy = cmp.Or(abortedBy, x.accompany(ctx, d, quiet))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if abortedBy != "" {
		report = strings.TrimSuffix(abortedBy+": "+report, ": ")
	}
	return x.report(ctx, m, report, abortedBy != "")
}

// report commits that the job is over and what is seen here then, for as long
// as it takes: nobody else can say it.
func (x *Executor) report(ctx context.Context, m cluster.Move, text string, aborted bool) error {
	for {
		e, err := x.look(ctx, m.VM, 10*time.Second)
		if err == nil {
			return commit(ctx, x.cfg.Uplink, cluster.EndJob{Move: m.ID, Report: text, Aborted: aborted, Evidence: e})
		}
		x.log.Warn("no evidence yet", "move", m.ID, "vm", m.VMName, "err", err)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// recover deals with a claimed or running move that nobody here works on: the
// daemon was restarted, or an answer was lost. The journal says how far it
// got, and nothing is ever begun a second time.
func (x *Executor) recover(ctx context.Context, d *duty) error {
	if err := x.finish(ctx, d); err != nil {
		return err
	}
	x.afterwards(ctx, hookMove(d.move(), ""))
	return nil
}

func (x *Executor) finish(ctx context.Context, d *duty) error {
	m := d.move()
	entry, known, err := x.cfg.Journal.Get(m.ID)
	if err != nil {
		x.log.Error("journal entry cannot be read; nothing is started", "move", m.ID, "err", err)
	}
	called := err != nil || !known || entry.Phase == PhaseRunning
	x.log.Info("found a move in hand", "move", m.ID, "vm", m.VMName, "state", m.State, "phase", entry.Phase)
	switch {
	case m.State == cluster.MoveClaimed:
		// Libvirt is called only after a committed start: it was not.
		return x.release(ctx, m, "the daemon of the source restarted before it started")
	case !called:
		return x.report(ctx, m, "the daemon of the source restarted before it called libvirt", false)
	}
	return x.settle(ctx, d, "", "")
}
