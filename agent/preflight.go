package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/agent/relay"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What the State knows of a VM and two hosts is minutes old. So each end looks
// again for itself right before a migration begins: the target when it is
// asked for its consent, the source when it has the claim and before libvirt
// is called. What stands against the move then ends it, and nothing has moved.

// preflightLimit bounds what one end looks at for one move.
const preflightLimit = 15 * time.Second

// receivable is the target's look: at what it offers now, and at what its own
// hypervisor says of the VM's CPU.
func (x *Executor) receivable(ctx context.Context, m cluster.Move, c cluster.Check) *cluster.Refusal {
	if x.cfg.Survey == nil || c.Need == nil || c.AtSource == nil {
		return nil // the source's own look comes later
	}
	ctx, cancel := context.WithTimeout(ctx, min(preflightLimit, m.StartWindow/2))
	defer cancel()
	offer, err := x.cfg.Survey.Offer(ctx)
	if err != nil {
		return notRead("what the target offers", err)
	}
	if r := hinders(m, c.Need.Fit(c.AtSource, offer)); r != nil {
		return r
	}
	h, err := x.cfg.Survey.Takes(ctx, c.Need)
	if err != nil {
		return notRead("what the target's hypervisor says of the VM", err)
	}
	return h.Refusal()
}

// departable is the source's look: at the VM's definition as it is now, its
// jobs, and the way to the target's libvirt.
func (x *Executor) departable(ctx context.Context, m cluster.Move, route relay.Route, v cluster.View) *cluster.Refusal {
	if x.cfg.Survey == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(preflightLimit, m.StartWindow/2))
	defer cancel()
	need, err := x.cfg.Survey.Need(ctx, m.VM)
	if err != nil {
		return notRead("what the VM needs", err)
	}
	if r := hinders(m, need.Stays(v.Settings.Leeway())); r != nil {
		return r
	}
	if r := sameDisks(m, need.Copies); r != nil {
		return r
	}
	if c := v.Check(m.ID); c.AtTarget != nil {
		offer, err := x.cfg.Survey.Offer(ctx)
		if err != nil {
			return notRead("what the source offers", err)
		}
		if r := hinders(m, need.Fit(offer, c.AtTarget)); r != nil {
			return r
		}
	}
	if need.LockedBy != "" && v.Check(m.ID).AtTarget == nil {
		return &cluster.Refusal{Code: cluster.CodeNotChecked, Text: "nothing but " + need.LockedBy + " keeps a second copy of the VM from running, and the target has not said how it locks disks"}
	}
	busy, err := x.cfg.Survey.Busy(ctx, m.VM)
	if err != nil {
		return notRead("the VM's jobs", err)
	}
	if busy != "" {
		return &cluster.Refusal{Code: cluster.CodeJobActive, Text: busy + " is under way on it; wait for its end"}
	}
	if err := x.cfg.Survey.Reach(ctx, route.PeerURI); err != nil {
		return &cluster.Refusal{
			Code: cluster.CodePeerUnreachable,
			Text: fmt.Sprintf("the target's libvirt does not answer by %.200s: %v; look at migration.transport in both agent.yaml, and at the firewall", route.PeerURI, err),
		}
	}
	return nil
}

// lets asks libvirt, which asks QEMU, whether the VM may go at all: some devices
// are known to stay to QEMU alone, and would end the move when it has begun.
func (x *Executor) lets(ctx context.Context, m cluster.Move, r MigrateRequest) *cluster.Refusal {
	asking, cancel := context.WithTimeout(ctx, min(preflightLimit, m.StartWindow/2))
	defer cancel()
	err := x.cfg.Hypervisor.Lets(asking, r)
	code := cluster.CodeHypervisorBlocked
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnsafe):
		code = cluster.CodeUnsafeCache
	case !errors.Is(err, ErrBlocked):
		return notRead("whether libvirt lets the VM go", err)
	}
	if r := x.still(ctx, m); r != nil {
		return r // a VM that does not run any more is let go nowhere either
	}
	return &cluster.Refusal{Code: code, Text: err.Error()}
}

// still says why the VM cannot go any more, by what libvirt says at this
// moment: the newest listing is seconds old, and hooks and looks take time. A
// VM that is paused would arrive so, and nobody could tell it from one that a
// broken migration left.
func (x *Executor) still(ctx context.Context, m cluster.Move) *cluster.Refusal {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := x.cfg.Hypervisor.Look(ctx, m.VM)
	switch {
	case err != nil:
		return notRead("the VM's state", err)
	case s.State == RunStateAbsent:
		return &cluster.Refusal{Code: cluster.CodeUnknownVM, Text: "the VM is off now, or not here any more"}
	case s.State != RunStateRunning:
		return &cluster.Refusal{Code: cluster.CodeNotRunning, Text: "the VM does not run now: it was suspended, or is about to stop"}
	case s.JobRunning:
		return &cluster.Refusal{Code: cluster.CodeMoveInFlight, Text: "the VM has a migration job that is not ours, or its QEMU does not say"}
	}
	return nil
}

// hinders is the first hindrance that holds for this move.
func hinders(m cluster.Move, list []cluster.Hindrance) *cluster.Refusal {
	for i := range list {
		if !list[i].Auto || m.Trigger == cluster.TriggerAuto {
			return list[i].Refusal()
		}
	}
	return nil
}

func notRead(what string, err error) *cluster.Refusal {
	return &cluster.Refusal{Code: cluster.CodeNotChecked, Text: fmt.Sprintf("%s could not be read: %v", what, err)}
}

// tried ends a move that was only to be tried.
var tried = &cluster.Refusal{Code: cluster.CodeTried, Text: "all went well up to the migration, which was not asked for: nothing has moved"}
