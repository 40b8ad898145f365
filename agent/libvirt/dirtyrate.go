package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// The bounds that libvirt sets on how long it watches.
const (
	minDirtyPeriod = time.Second
	maxDirtyPeriod = time.Minute
	// dirtySlack is how much longer than the period a result may take: QEMU
	// hashes its samples before and after.
	dirtySlack = 30 * time.Second
	// dirtyPoll is the pause between two questions for the result.
	dirtyPoll = 200 * time.Millisecond
)

// ErrNoDirtyRate means that this VM's dirty rate can't be had: its QEMU is
// older than 5.2, it is not running, or the measurement was lost.
var ErrNoDirtyRate = errors.New("no dirty rate")

// DirtyRate measures how fast a VM's memory changes, in bytes per second, by
// watching for the period (1 s to 1 min, whole seconds): libvirt's calculation
// by page sampling, 512 pages of each GiB hashed before and after, about 5 ms of
// CPU per GiB. A page that was written to counts as one, however often, so it
// is what one round of pre-copy would have to send again. It is never done by
// the dirty bitmap, which stops the guest for each page and has crashed QEMU.
// Several callers may measure one VM at once: they share QEMU's measurement.
func (h *Host) DirtyRate(ctx context.Context, vm string, period time.Duration) (bytesPerSec int64, err error) {
	id, err := parseUUID(vm)
	if err != nil {
		return 0, err
	}
	if period < minDirtyPeriod || period > maxDirtyPeriod || period%time.Second != 0 {
		return 0, fmt.Errorf("measure the dirty rate of VM %s for %s: want whole seconds from %s to %s", vm, period, minDirtyPeriod, maxDirtyPeriod)
	}
	ctx, cancel := context.WithTimeout(ctx, period+dirtySlack)
	defer cancel()
	dom, err := h.startDirtyRate(ctx, id, period)
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, period); err != nil {
		return 0, fmt.Errorf("measure the dirty rate of VM %s: %w", vm, err)
	}
	for {
		rate, done, err := h.dirtyRate(ctx, dom)
		if err != nil || done {
			return rate, err
		}
		if err := sleep(ctx, dirtyPoll); err != nil {
			return 0, fmt.Errorf("measure the dirty rate of VM %s: no result %s after the period's end: %w", vm, dirtySlack, err)
		}
	}
}

// startDirtyRate begins. What QEMU refuses because it measures already is as
// good; libvirt gives that refusal no code of its own.
func (h *Host) startDirtyRate(ctx context.Context, id golibvirt.UUID, period time.Duration) (dom golibvirt.Domain, err error) {
	err = h.call(ctx, "start to measure the dirty rate of VM "+formatUUID(id), func(lv *golibvirt.Libvirt) error {
		var err error
		if dom, err = lookup(lv, id); err != nil {
			return err
		}
		err = lv.DomainStartDirtyRateCalc(dom, int32(period/time.Second), uint32(golibvirt.DomainDirtyrateModePageSampling))
		if err == nil || !answered(err) {
			return err
		}
		if _, done, again := dirtyRateOf(lv, dom); again == nil && !done {
			return nil
		}
		return err
	})
	return dom, err
}

func (h *Host) dirtyRate(ctx context.Context, dom golibvirt.Domain) (rate int64, done bool, err error) {
	err = h.call(ctx, "ask for the dirty rate of VM "+formatUUID(dom.UUID), func(lv *golibvirt.Libvirt) error {
		var err error
		rate, done, err = dirtyRateOf(lv, dom)
		return err
	})
	return rate, done, err
}

// dirtyRateOf reads the state of the measurement. Without NOWAIT: a VM that is
// busy for a moment would look like one without a dirty rate.
func dirtyRateOf(lv *golibvirt.Libvirt, dom golibvirt.Domain) (rate int64, done bool, err error) {
	records, err := lv.ConnectGetAllDomainStats([]golibvirt.Domain{dom}, uint32(golibvirt.DomainStatsDirtyrate), 0)
	if err != nil {
		return 0, false, err
	}
	if len(records) != 1 {
		return 0, false, fmt.Errorf("%w: libvirt tells of %d VMs, asked for 1", ErrNoDirtyRate, len(records))
	}
	return parseDirtyRate(records[0].Params)
}

// maxDirtyMiB is faster than any memory, in MiB per second.
const maxDirtyMiB = 1 << 30

func parseDirtyRate(params []golibvirt.TypedParam) (rate int64, done bool, err error) {
	status, mib := int64(-1), int64(-1)
	for _, p := range params {
		var into *int64
		switch p.Field {
		case golibvirt.DomainStatsDirtyrateCalcStatus:
			into = &status
		case golibvirt.DomainStatsDirtyrateMegabytesPerSecond:
			into = &mib
		default:
			continue
		}
		n, ok := number(p.Value.I)
		if !ok || n > maxDirtyMiB {
			return 0, false, fmt.Errorf("%s: %v, want at most %d", p.Field, p.Value.I, maxDirtyMiB)
		}
		*into = int64(n)
	}
	switch {
	case status == int64(golibvirt.DomainDirtyrateMeasuring):
		return 0, false, nil
	case status == int64(golibvirt.DomainDirtyrateMeasured) && mib >= 0:
		return mib << 20, true, nil
	}
	return 0, false, fmt.Errorf("%w: status %d", ErrNoDirtyRate, status)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
