package libvirt

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// Migrate runs one peer-to-peer live migration on a connection of its own and
// blocks until libvirt's call returns. When ctx ends the connection is closed
// and the job goes on without us.
func (h *Host) Migrate(ctx context.Context, r agent.MigrateRequest) error {
	what := fmt.Sprintf("migrate VM %s to %s", clip(r.VM, 64), clip(r.PeerURI, 256))
	id, err := parseUUID(r.VM)
	if err != nil {
		return err
	}
	params, err := migrateParams(r)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ctx, end, err := h.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer end()
	c, err := h.dialer.dialFresh(ctx, h.cfg.CallTimeout)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer c.close()
	err = c.do(ctx, func(lv *golibvirt.Libvirt) error { return perform(lv, id, r, params) })
	if err != nil {
		return fmt.Errorf("%s: %w", what, translate(err))
	}
	return nil
}

func perform(lv *golibvirt.Libvirt, vm golibvirt.UUID, r agent.MigrateRequest, params []golibvirt.TypedParam) error {
	dom, err := lookup(lv, vm)
	if err != nil {
		return err
	}
	if r.MaxDowntime > 0 {
		// There is no migration parameter for it: QEMU keeps it until it is set again.
		if err := lv.DomainMigrateSetMaxDowntime(dom, uint64(r.MaxDowntime/time.Millisecond), 0); err != nil {
			return err
		}
	}
	_, err = lv.DomainMigratePerform3Params(dom, golibvirt.OptString{r.PeerURI}, params, nil, migrateFlags(r))
	return err
}

func migrateFlags(r agent.MigrateRequest) golibvirt.DomainMigrateFlags {
	flags := golibvirt.MigrateLive | golibvirt.MigratePeer2peer
	if r.Persist {
		flags |= golibvirt.MigratePersistDest
	}
	if r.Undefine {
		flags |= golibvirt.MigrateUndefineSource
	}
	if r.AutoConverge {
		flags |= golibvirt.MigrateAutoConverge
	}
	if r.Parallel > 1 {
		flags |= golibvirt.MigrateParallel
	}
	if r.ArrivePaused {
		flags |= golibvirt.MigratePaused
	}
	if r.PostCopy {
		flags |= golibvirt.MigratePostcopy
	}
	if r.TLS {
		flags |= golibvirt.MigrateTLS
	}
	if len(r.CopyDisks) > 0 {
		flags |= golibvirt.MigrateNonSharedDisk
	}
	if r.Unsafe {
		flags |= golibvirt.MigrateUnsafe
	}
	return flags
}

// maxParallel is the most channels that QEMU takes (multifd-channels).
const maxParallel = 255

// maxBandwidth is the most that may be asked for, in MiB/s: libvirt refuses
// what overflows 63 bits of bytes.
const maxBandwidth = 1<<43 - 1

func migrateParams(r agent.MigrateRequest) ([]golibvirt.TypedParam, error) {
	if err := validURI("peer URI", r.PeerURI); err != nil {
		return nil, err
	}
	if err := validURI("migration URI", r.MigrateURI); err != nil {
		return nil, err
	}
	if r.BandwidthBytesPerSec < 0 {
		return nil, fmt.Errorf("bandwidth %d bytes/s is negative", r.BandwidthBytesPerSec)
	}
	if r.Parallel < 0 || r.Parallel > maxParallel {
		return nil, fmt.Errorf("%d parallel connections are not within 0 to %d, QEMU's limit", r.Parallel, maxParallel)
	}
	if d := r.MaxDowntime; d != 0 && (d < time.Millisecond || d > 2000*time.Second) {
		return nil, fmt.Errorf("longest downtime %s is not within 1ms to 2000s, QEMU's limits", d)
	}
	params := []golibvirt.TypedParam{
		{Field: golibvirt.MigrateParamURI, Value: *golibvirt.NewTypedParamValueString(r.MigrateURI)},
	}
	disks, err := diskParams(r)
	if err != nil {
		return nil, err
	}
	params = append(params, disks...)
	if r.BandwidthBytesPerSec > 0 {
		mib := min(uint64(r.BandwidthBytesPerSec+1<<20-1)>>20, maxBandwidth) // rounded up: 0 would mean no limit
		params = append(params, golibvirt.TypedParam{
			Field: golibvirt.MigrateParamBandwidth, Value: *golibvirt.NewTypedParamValueUllong(mib),
		})
	}
	if r.Parallel > 1 {
		params = append(params, golibvirt.TypedParam{
			Field: golibvirt.MigrateParamParallelConnections, Value: *golibvirt.NewTypedParamValueInt(int32(r.Parallel)),
		})
	}
	return params, nil
}

// diskParams name the disks to copy: without, libvirt copies each that is
// written, also what both hosts share.
func diskParams(r agent.MigrateRequest) (params []golibvirt.TypedParam, err error) {
	if len(r.CopyDisks) > maxDisks {
		return nil, fmt.Errorf("%d disks to copy, at most %d", len(r.CopyDisks), maxDisks)
	}
	for i, target := range r.CopyDisks {
		if target == "" || len(target) > 64 || slices.Contains(r.CopyDisks[:i], target) {
			return nil, fmt.Errorf("disk %.64q to copy is none, or named twice", target)
		}
		params = append(params, golibvirt.TypedParam{Field: golibvirt.MigrateParamMigrateDisks, Value: *golibvirt.NewTypedParamValueString(target)})
	}
	if len(params) > 0 && r.DisksURI != "" {
		if err := validURI("disks URI", r.DisksURI); err != nil {
			return nil, err
		}
		params = append(params, golibvirt.TypedParam{Field: golibvirt.MigrateParamDisksURI, Value: *golibvirt.NewTypedParamValueString(r.DisksURI)})
	}
	return params, nil
}

// validURI refuses what libvirt would read otherwise than it was meant; a
// missing migration URI would make it use a host name.
func validURI(what, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || len(text) > 1024 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%s %q: want SCHEME://..., at most 1024 bytes, without blanks", what, clip(text, 256))
	}
	return nil
}
