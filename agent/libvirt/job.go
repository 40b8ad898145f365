package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Job reports the migration job that runs on the VM; agent.ErrNoJob if none,
// also when the VM is not here. Of an incoming job libvirt tells no figures.
// A hung QEMU can hold it up: give it a deadline.
func (h *Host) Job(ctx context.Context, vm string) (agent.Job, error) {
	id, err := parseUUID(vm)
	if err != nil {
		return agent.Job{}, err
	}
	return h.job(ctx, id)
}

func (h *Host) job(ctx context.Context, vm golibvirt.UUID) (agent.Job, error) {
	what := "ask for the job of VM " + formatUUID(vm)
	var kind int32
	var params []golibvirt.TypedParam
	incoming := false
	err := h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, vm)
		if err != nil {
			return err
		}
		kind, params, err = lv.DomainGetJobStats(dom, 0)
		if refused(err) {
			incoming, err = active(lv, dom)
			kind = int32(golibvirt.DomainJobNone)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNoVM):
		return agent.Job{}, fmt.Errorf("%s: %w", what, agent.ErrNoJob)
	case err != nil:
		return agent.Job{}, err
	case incoming:
		return agent.Job{Incoming: true}, nil
	case golibvirt.DomainJobType(kind) == golibvirt.DomainJobNone:
		return agent.Job{}, fmt.Errorf("%s: %w", what, agent.ErrNoJob)
	}
	return jobOf(what, params)
}

// refused is libvirt's answer to a question about the job of a VM that is not
// active, or whose migration comes in. libvirt 9 gives the latter a code of
// its own, older ones don't.
func refused(err error) bool {
	var e golibvirt.Error
	return errors.As(err, &e) &&
		(e.Code == uint32(golibvirt.ErrOperationInvalid) || e.Code == uint32(golibvirt.ErrOperationUnsupported))
}

// active tells the two apart, without reading the message, which may be
// translated: an active VM about whose job libvirt won't speak is coming in.
func active(lv *golibvirt.Libvirt, dom golibvirt.Domain) (bool, error) {
	state, reason, err := lv.DomainGetState(dom, 0)
	if err != nil {
		return false, err
	}
	s, _ := runState(state, reason)
	return s != agent.RunStateAbsent, nil
}

// CompletedJob reports the last migration job that ended here, and keeps it
// for others who ask. libvirt forgets it when its daemon restarts.
func (h *Host) CompletedJob(ctx context.Context, vm string) (agent.Job, error) {
	id, err := parseUUID(vm)
	if err != nil {
		return agent.Job{}, err
	}
	what := "ask for the completed job of VM " + vm
	var kind int32
	var params []golibvirt.TypedParam
	err = h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		kind, params, err = lv.DomainGetJobStats(dom, golibvirt.DomainJobStatsCompleted|golibvirt.DomainJobStatsKeepCompleted)
		return err
	})
	if errors.Is(err, ErrNoVM) || hasCode(err, golibvirt.ErrOperationInvalid) || hasCode(err, golibvirt.ErrOperationUnsupported) ||
		err == nil && golibvirt.DomainJobType(kind) == golibvirt.DomainJobNone {
		return agent.Job{}, fmt.Errorf("%s: %w", what, agent.ErrNoJob)
	}
	if err != nil {
		return agent.Job{}, err
	}
	return jobOf(what, params)
}

// PostCopy has a VM whose migration was begun with that flag run on at the
// target now.
func (h *Host) PostCopy(ctx context.Context, vm string) error {
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	return h.call(ctx, "switch VM "+vm+" to post-copy", func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainMigrateStartPostCopy(dom, 0)
	})
}

// Abort asks libvirt to cancel the VM's job; agent.ErrNoJob if none runs. An
// incoming one cannot be cancelled here, only at its source.
func (h *Host) Abort(ctx context.Context, vm string) error {
	id, err := parseUUID(vm)
	if err != nil {
		return err
	}
	what := "abort the job of VM " + vm
	err = h.call(ctx, what, func(lv *golibvirt.Libvirt) error {
		dom, err := lookup(lv, id)
		if err != nil {
			return err
		}
		return lv.DomainAbortJob(dom)
	})
	if errors.Is(err, ErrNoVM) {
		return fmt.Errorf("%s: %w", what, agent.ErrNoJob)
	}
	if !hasCode(err, golibvirt.ErrOperationInvalid) {
		return err
	}
	if _, jobErr := h.job(ctx, id); errors.Is(jobErr, agent.ErrNoJob) {
		return fmt.Errorf("%s: %w", what, agent.ErrNoJob)
	}
	return err
}

// jobOf translates job statistics; agent.ErrNoJob if the job migrates nothing
// (a save, a backup, ...).
func jobOf(what string, params []golibvirt.TypedParam) (agent.Job, error) {
	f := fields{values: make(map[string]uint64, len(params))}
	for _, p := range params {
		f.add(p)
	}
	j := agent.Job{
		Elapsed:              f.millis(golibvirt.DomainJobTimeElapsed),
		TotalBytes:           f.bytes(golibvirt.DomainJobDataTotal),
		ProcessedBytes:       f.bytes(golibvirt.DomainJobDataProcessed),
		RemainingBytes:       f.bytes(golibvirt.DomainJobDataRemaining),
		BandwidthBytesPerSec: f.bytes(golibvirt.DomainJobMemoryBps),
		DirtyBytesPerSec:     f.dirtyRate(),
		Iteration:            int64(f.upTo(golibvirt.DomainJobMemoryIteration, 1<<31)),
		ThrottlePercent:      int64(f.upTo(golibvirt.DomainJobAutoConvergeThrottle, 100)),
		Downtime:             f.millis(golibvirt.DomainJobDowntime),
	}
	operation := golibvirt.DomainJobOperation(f.upTo(golibvirt.DomainJobOperationStr, 1<<16))
	if f.err != nil {
		return agent.Job{}, fmt.Errorf("%s: job statistics: %w", what, f.err)
	}
	switch operation {
	case golibvirt.DomainJobOperationStrMigrationIn:
		j.Incoming = true
	case golibvirt.DomainJobOperationStrMigrationOut:
	default:
		return agent.Job{}, fmt.Errorf("%s: it is no migration: %w", what, agent.ErrNoJob)
	}
	return j, nil
}

// Bounds beyond which a figure is taken for nonsense.
const (
	maxJobBytes = 1 << 50
	maxJobTime  = 10 * 365 * 24 * time.Hour
)

// fields reads named figures and keeps the first error. A figure that libvirt
// did not send is 0.
type fields struct {
	values map[string]uint64
	err    error
}

func (f *fields) add(p golibvirt.TypedParam) {
	switch v := p.Value.I.(type) {
	case uint64:
		f.values[p.Field] = v
	case uint32:
		f.values[p.Field] = uint64(v)
	case int64:
		f.addSigned(p.Field, v)
	case int32:
		f.addSigned(p.Field, int64(v))
	}
}

func (f *fields) addSigned(name string, v int64) {
	if v < 0 {
		f.fail(fmt.Errorf("%s is negative (%d)", clip(name, 64), v))
		return
	}
	f.values[name] = uint64(v)
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) upTo(name string, most uint64) uint64 {
	v := f.values[name]
	if v > most {
		f.fail(fmt.Errorf("%s is %d, more than %d", name, v, most))
		return 0
	}
	return v
}

func (f *fields) bytes(name string) int64 { return int64(f.upTo(name, maxJobBytes)) }

func (f *fields) millis(name string) time.Duration {
	return time.Duration(f.upTo(name, uint64(maxJobTime/time.Millisecond))) * time.Millisecond
}

// dirtyRate is sent in pages per second, with the page size beside it.
func (f *fields) dirtyRate() int64 {
	pages := f.upTo(golibvirt.DomainJobMemoryDirtyRate, maxJobBytes>>12)
	size := f.upTo(golibvirt.DomainJobMemoryPageSize, 1<<30)
	if pages > 0 && size == 0 {
		size = 4096
	}
	if pages > 0 && size > maxJobBytes/pages {
		f.fail(fmt.Errorf("dirty rate of %d pages of %d bytes a second", pages, size))
		return 0
	}
	return int64(pages * size)
}
