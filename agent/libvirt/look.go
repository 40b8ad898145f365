package libvirt

import (
	"context"
	"errors"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Look tells what is true of one VM here now. The question about its job is
// asked before and after the others, so "no job" spans them all: a job that
// ends between two questions can't pass for its own outcome. It is the only
// question that a hung QEMU can hold up; after JobTimeout, or on an answer
// that makes no sense, a job is taken to run, which makes the sighting no
// evidence, and the reason is logged.
func (h *Host) Look(ctx context.Context, vm string) (agent.Sighting, error) {
	id, err := parseUUID(vm)
	if err != nil {
		return agent.Sighting{}, err
	}
	before, err := h.jobRuns(ctx, id)
	if err != nil {
		return agent.Sighting{}, err
	}
	s, name, err := h.state(ctx, id)
	if err != nil {
		return agent.Sighting{}, err
	}
	pid, err := h.qemus.pid(vm, name)
	if err != nil {
		return agent.Sighting{}, err
	}
	s.Process = pid != 0
	after := before // once is enough to know
	if !before {
		if after, err = h.jobRuns(ctx, id); err != nil {
			return agent.Sighting{}, err
		}
	}
	s.JobRunning = after
	return s, nil
}

// state asks for the run state, and the name under which the pid file is.
func (h *Host) state(ctx context.Context, vm golibvirt.UUID) (agent.Sighting, string, error) {
	var dom golibvirt.Domain
	var state, reason int32
	err := h.call(ctx, "ask for the state of VM "+formatUUID(vm), func(lv *golibvirt.Libvirt) error {
		var err error
		if dom, err = lookup(lv, vm); err != nil {
			return err
		}
		state, reason, err = lv.DomainGetState(dom, 0)
		return err
	})
	if errors.Is(err, ErrNoVM) {
		return agent.Sighting{State: agent.RunStateAbsent}, "", nil
	}
	if err != nil {
		return agent.Sighting{}, "", err
	}
	var s agent.Sighting
	s.State, _ = runState(state, reason)
	s.PausedByMigration = resumable(state, reason)
	return s, dom.Name, nil
}

func (h *Host) jobRuns(ctx context.Context, vm golibvirt.UUID) (bool, error) {
	short, cancel := context.WithTimeout(ctx, h.cfg.JobTimeout)
	defer cancel()
	_, err := h.job(short, vm)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, agent.ErrNoJob):
		return false, nil
	case ctx.Err() != nil:
		return false, err
	case errors.Is(err, agent.ErrDisconnected) && short.Err() == nil:
		return false, err
	}
	h.log.Warn("job is not known, taken to run", "vm", formatUUID(vm), "err", err)
	return true, nil
}
