package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// carryOut is the source's part of a move from its reservation to its end.
func (x *Executor) carryOut(ctx context.Context, d *duty, target cluster.Member, v cluster.View) error {
	m := d.move()
	if r := x.unfit(m, v.Settings); r != nil {
		return x.veto(ctx, m, r)
	}
	if err := x.claim(ctx, m); err != nil {
		return err
	}
	if why := x.tooLate(m); why != "" {
		return x.release(ctx, m, why)
	}
	return x.start(ctx, d, target, v)
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
	x.log.Info("release", "move", m.ID, "vm", m.VMName, "why", why)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return commit(ctx, x.cfg.Uplink, cluster.Release{Move: m.ID, Text: why})
}

// start commits that the migration begins, then calls libvirt. The order of
// the steps is the promise: stamp, journal, committed start, journal, call.
func (x *Executor) start(ctx context.Context, d *duty, target cluster.Member, v cluster.View) error {
	m := d.move()
	if err := x.cfg.Hypervisor.Stamp(ctx, m.VM, m.ID); err != nil {
		return x.release(ctx, m, fmt.Sprintf("libvirt does not take the order's stamp: %v", err))
	}
	if err := x.note(m, PhaseStarting); err != nil {
		return errors.Join(err, x.release(ctx, m, "the journal cannot be written"))
	}
	if why := x.tooLate(m); why != "" {
		return x.release(ctx, m, why) // libvirt took its time over the stamp, or the host slept
	}
	begun, cancel := context.WithTimeout(ctx, m.StartWindow)
	err := commit(begun, x.cfg.Uplink, cluster.Start{Move: m.ID})
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
	return x.migrate(ctx, d, target, int64(v.Settings.Bandwidth))
}

// migrate calls libvirt and stays with the job until it is over. The call
// outlives the daemon's wish to stop: libvirt goes on without its client.
func (x *Executor) migrate(ctx context.Context, d *duty, target cluster.Member, bandwidth int64) error {
	m := d.move()
	x.log.Info("migration begins", "move", m.ID, "vm", m.VMName, "target", target.Name)
	result := make(chan error, 1)
	x.wg.Go(func() {
		result <- x.cfg.Hypervisor.Migrate(ctx, MigrateRequest{
			VM: m.VM, PeerURI: target.MigrationPeerURI, MigrateURI: target.MigrationURI,
			BandwidthBytesPerSec: bandwidth, Persist: x.persistent(m.VM),
		})
	})
	aborted := x.accompany(ctx, d, func() bool { return len(result) > 0 })
	if ctx.Err() != nil {
		return context.Cause(ctx) // the daemon stops; the job is adopted at its next start
	}
	err := <-result
	x.log.Info("migration call returned", "move", m.ID, "vm", m.VMName, "err", err)
	return x.settle(ctx, d, words(err), aborted)
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (x *Executor) persistent(vm string) bool {
	for _, v := range x.cfg.Live().Inventory.VMs {
		if v.UUID == vm {
			return v.Persistent
		}
	}
	return false
}

// accompany reports a job's progress once a second and aborts it when its
// budget is spent or an operator asks. It returns when over says so or ctx
// ends, and tells whether an abort was asked for.
func (x *Executor) accompany(ctx context.Context, d *duty, over func() bool) (aborted bool) {
	began := x.cfg.Uptime()
	budget := d.move().Budget
	for tick := 0; !over(); tick++ {
		if pause(ctx, 100*time.Millisecond) != nil {
			return aborted
		}
		if tick%10 != 5 {
			continue
		}
		m := d.move()
		if m.AbortAsked || x.cfg.Uptime()-began > budget {
			aborted = x.abort(ctx, m) || aborted
		}
		x.progress(ctx, m)
	}
	return aborted
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
		Bandwidth: cluster.BytesPerSecond(max(job.BandwidthBytesPerSec, 0)), Iteration: max(job.Iteration, 0),
	}}})
	if err != nil {
		x.log.Debug("progress not committed", "move", m.ID, "err", err)
	}
}

// settle waits until no job runs on the VM any more, whatever the call said,
// and reports. An RPC that timed out is not a migration that failed.
func (x *Executor) settle(ctx context.Context, d *duty, report string, aborted bool) error {
	m := d.move()
	quiet := func() bool {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		s, err := x.cfg.Hypervisor.Look(ctx, m.VM)
		return err == nil && !s.JobRunning
	}
	aborted = x.accompany(ctx, d, quiet) || aborted
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return x.report(ctx, m, report, aborted)
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
	return x.settle(ctx, d, "", false)
}
