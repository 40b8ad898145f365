package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Definition is what libvirt keeps of a VM beside its live state.
type Definition struct {
	Persistent bool // it is there also while the VM is off; else the VM is transient
	Autostart  bool // libvirt starts the VM with the host
}

// ErrNoVM means that libvirt knows no VM with that UUID here, on or off.
var ErrNoVM = errors.New("no such VM on this host")

// kept is what a move does to a VM's definitions.
type kept struct {
	persist, undefine bool // at the target, at the source
	autostart         bool // the target is to set it
}

// keeps reads the VM's definition as it is now and says what becomes of it by
// the policy.
func (x *Executor) keeps(ctx context.Context, m cluster.Move, policy cluster.Definitions) (kept, *cluster.Refusal) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	d, err := x.cfg.Hypervisor.Definition(ctx, m.VM)
	switch {
	case errors.Is(err, ErrNoVM):
		return kept{}, &cluster.Refusal{Code: cluster.CodeUnknownVM, Text: "the VM is not here any more"}
	case err != nil:
		return kept{}, notRead("the VM's definition", err)
	case !d.Persistent:
		return kept{}, nil // transient it is, and stays
	case d.Autostart && !policy.Arrive():
		return kept{}, &cluster.Refusal{
			Code: cluster.CodeAutostartStays,
			Text: "libvirt would start it a second time with this host, for by setting definitions=transient its definition stays here; `virsh autostart --disable` it, or set definitions to follow or everywhere",
		}
	}
	return kept{persist: policy.Arrive(), undefine: policy.Leave(), autostart: d.Autostart}, nil
}

// leave has the source no longer start a VM with itself that has gone, where
// its definition stays. Libvirt's call said that the move went well, which it
// says after both hosts have confirmed it; if it was not heard to say so, or
// this fails, the State asks for it later, see [Executor.unstart].
func (x *Executor) leave(ctx context.Context, m cluster.Move, k kept) {
	if !k.autostart || k.undefine {
		return
	}
	if err := x.unset(ctx, m.VM); err != nil {
		x.log.Warn("the definition that stays here is still started with this host", "move", m.ID, "vm", m.VMName, "err", err)
	}
}

// unset makes libvirt start a VM no more with this host, unless it runs here.
func (x *Executor) unset(ctx context.Context, vm string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := x.cfg.Hypervisor.Look(ctx, vm)
	if err != nil {
		return err
	}
	if s.State != RunStateAbsent || s.Process {
		return fmt.Errorf("VM %s has come back, its autostart stays", vm)
	}
	if err := x.cfg.Hypervisor.SetAutostart(ctx, vm, false); err != nil && !errors.Is(err, ErrNoVM) {
		return err
	}
	return nil
}

// Attempts at setting a VM's autostart at the target; the move's end waits.
const (
	autostartTries = 3
	autostartLimit = 5 * time.Second
)

// keep sets the autostart that a VM had at its source, which has committed that
// it is gone there. It says whether that is done; the move ends either way.
func (x *Executor) keep(ctx context.Context, m cluster.Move, e cluster.Evidence) bool {
	if m.Autostart != cluster.AutostartOwed || e.Presence != cluster.PresenceRunning || m.AtSource == nil || m.AtSource.Presence != cluster.PresenceAbsent {
		return false
	}
	for try := 1; ; try++ {
		asked, cancel := context.WithTimeout(ctx, autostartLimit)
		err := x.cfg.Hypervisor.SetAutostart(asked, m.VM, true)
		cancel()
		if err == nil {
			return true
		}
		x.log.Warn("autostart not set", "move", m.ID, "vm", m.VMName, "try", try, "err", err)
		if try == autostartTries || pause(ctx, time.Second) != nil {
			return false
		}
	}
}

// unstartEvery is how often the same VM's autostart is tried to be unset: what
// was done shows in the State with the next description.
const unstartEvery = 30 * time.Second

// unstart unsets the autostart of VMs that moves took away from here with it,
// where that could not be done at once.
func (x *Executor) unstart(ctx context.Context, v cluster.View) {
	for vm := range x.unstarted {
		if x.cfg.Uptime()-x.unstarted[vm] >= unstartEvery {
			delete(x.unstarted, vm)
		}
	}
	for _, vm := range v.Unstart {
		if _, lately := x.unstarted[vm]; lately {
			continue
		}
		x.unstarted[vm] = x.cfg.Uptime()
		x.wg.Go(func() {
			x.log.Info("a move took the VM and its autostart along: unset what stayed here", "vm", vm, "err", x.unset(ctx, vm))
		})
	}
}
