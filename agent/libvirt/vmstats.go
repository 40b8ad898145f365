package libvirt

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// VMStats is what libvirt counts of a VM's memory and network.
type VMStats struct {
	Balloon *Balloon // as libvirt knew last if the VM is busy with a job; nil: not known
	NICs    []NICStats
}

// Balloon is how much of its memory the VM has now.
type Balloon struct {
	CurrentBytes int64
	MaximumBytes int64
}

// NICStats are one network interface's counters since it was plugged, as the
// host's side of it sees them, turned round: Rx is what the guest received.
type NICStats struct {
	Name               string // of the host's device, "vnet3"
	Known              bool   // false: libvirt has no counters of this kind of interface
	RxBytes, RxPackets uint64
	TxBytes, TxPackets uint64
	RxDropped          uint64 // the guest took them in too slowly
	TxDropped          uint64
}

// maxNICs bounds the interfaces of one VM.
const maxNICs = 1024

// VMStats asks for all active VMs in one question, by UUID. For the balloon
// libvirt asks QEMU's monitor, for the network nobody: without waiting for a VM
// that is busy with a job. A QEMU that hangs while it is asked holds this one
// call up until its context or the time limit ends it, and is passed over from
// then on: the question that it owes an answer to is the job. Ask every few
// seconds at most, since each call costs libvirtd and every QEMU some CPU.
func (h *Host) VMStats(ctx context.Context) (map[string]VMStats, error) {
	var records []golibvirt.DomainStatsRecord
	err := h.call(ctx, "read the VMs' memory and network statistics", func(lv *golibvirt.Libvirt) error {
		var err error
		flags := uint32(golibvirt.ConnectGetAllDomainsStatsActive | golibvirt.ConnectGetAllDomainsStatsNowait)
		records, err = lv.ConnectGetAllDomainStats(nil, uint32(golibvirt.DomainStatsBalloon|golibvirt.DomainStatsInterface), flags)
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string]VMStats, len(records))
	for _, r := range records {
		uuid := formatUUID(r.Dom.UUID)
		stats, err := vmStats(r.Params)
		if err != nil {
			h.notices.warn(h.log, uuid, "memory and network statistics are not usable", err)
			continue
		}
		all[uuid] = stats
	}
	return all, nil
}

// vmStats reads balloon.current and .maximum (KiB), net.count, and for each
// net.N.name, .rx.bytes, .rx.pkts, ...; fields that newer daemons add are
// passed over.
func vmStats(params []golibvirt.TypedParam) (VMStats, error) {
	var s VMStats
	balloon := Balloon{-1, -1}
	for _, p := range params {
		var err error
		switch p.Field {
		case golibvirt.DomainStatsBalloonCurrent:
			balloon.CurrentBytes, err = kibibytes(p.Value.I)
		case golibvirt.DomainStatsBalloonMaximum:
			balloon.MaximumBytes, err = kibibytes(p.Value.I)
		case golibvirt.DomainStatsNetCount:
			n, ok := number(p.Value.I)
			if !ok || n > maxNICs {
				err = fmt.Errorf("%v, want at most %d", p.Value.I, maxNICs)
				break
			}
			s.NICs = make([]NICStats, n)
		}
		if err != nil {
			return VMStats{}, fmt.Errorf("%s: %w", p.Field, err)
		}
	}
	if balloon.CurrentBytes >= 0 && balloon.MaximumBytes >= 0 {
		s.Balloon = &balloon
	}
	for _, p := range params {
		if err := setNIC(s.NICs, p); err != nil {
			return VMStats{}, fmt.Errorf("%s: %w", clip(p.Field, 64), err)
		}
	}
	return s, nil
}

func kibibytes(value any) (int64, error) {
	n, ok := number(value)
	if !ok || n > math.MaxInt64>>10 {
		return 0, fmt.Errorf("%v, want KiB", value)
	}
	return int64(n << 10), nil
}

// setNIC takes one field of one interface.
func setNIC(nics []NICStats, p golibvirt.TypedParam) error {
	rest, ok := strings.CutPrefix(p.Field, golibvirt.DomainStatsNetPrefix)
	digits, field, dot := strings.Cut(rest, ".")
	i, err := strconv.ParseUint(digits, 10, 16)
	if !ok || !dot || err != nil {
		return nil
	}
	if i >= uint64(len(nics)) {
		return fmt.Errorf("there are %d interfaces", len(nics))
	}
	n := &nics[i]
	if field == "name" {
		name, ok := p.Value.I.(string)
		if !ok {
			return fmt.Errorf("%T, want a text", p.Value.I)
		}
		n.Name = cleanName(name)
		return nil
	}
	at := map[string]*uint64{
		"rx.bytes": &n.RxBytes, "rx.pkts": &n.RxPackets, "tx.bytes": &n.TxBytes, "tx.pkts": &n.TxPackets,
		"rx.drop": &n.RxDropped, "tx.drop": &n.TxDropped,
	}[field]
	if at == nil {
		return nil
	}
	v, ok := number(p.Value.I)
	if !ok {
		return fmt.Errorf("%v, want a number that is not negative", p.Value.I)
	}
	*at = v
	n.Known = true
	return nil
}
