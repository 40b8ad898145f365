package agent

import (
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/bpf"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// blockOf is what a VM's disks did between two gatherings: as the host's block
// layer saw it where it sees all of them, else as QEMU counted. nil if neither
// is known.
func blockOf(then, now vitals) *cluster.Block {
	place := placeOf(now.disks)
	device, guest := deviceBlock(then, now), guestBlock(then, now)
	out := device
	if device == nil || place.Hidden != "" {
		out = guest
	}
	if out == nil || len(now.disks) == 0 && quiet(out) {
		return nil // most likely it has no disks at all
	}
	out.Backend, out.Shared, out.Hidden = place.Backend, place.Shared, place.Hidden
	if guest != nil {
		out.Read.Guest, out.Write.Guest, out.Flush.Guest = guest.Read.Guest, guest.Write.Guest, guest.Flush.Guest
	}
	return out
}

func quiet(b *cluster.Block) bool { return b.Read.Requests+b.Write.Requests+b.Flush.Requests == 0 }

// deviceBlock is what the requests to the host's block layer did, nil if nothing
// counted them.
func deviceBlock(then, now vitals) *cluster.Block {
	t, n := then.block, now.block
	if t == nil || n == nil || !t.Since.Equal(n.Since) || n.By == bpf.ByNobody {
		return nil
	}
	return &cluster.Block{
		Layer: cluster.LayerDevice,
		Read:  deviceFigures(t.Ops[bpf.Read], n.Ops[bpf.Read]),
		Write: deviceFigures(t.Ops[bpf.Write], n.Ops[bpf.Write]),
		Flush: deviceFigures(t.Ops[bpf.Flush], n.Ops[bpf.Flush]),
	}
}

func deviceFigures(then, now bpf.BlockCounters) cluster.BlockFigures {
	d := now.Sub(then)
	f := cluster.BlockFigures{Requests: d.Requests, Bytes: d.Bytes, Errors: d.Errors}
	if n := d.Device.Count(); n > 0 {
		f.Queue, f.Device = time.Duration(d.QueueNS/n), time.Duration(d.DeviceNS/n)
		f.P99 = d.Device.Quantile(0.99)
	}
	return f
}

// guestBlock is what QEMU counted for the guest, nil if the same disks were not
// known at both ends.
func guestBlock(then, now vitals) *cluster.Block {
	before := make(map[string]DiskStats, len(then.disks))
	for _, d := range then.disks {
		before[d.Target] = d
	}
	out := &cluster.Block{Layer: cluster.LayerQEMU}
	for _, d := range now.disks {
		b, there := before[d.Target]
		if !there || !b.Known || !d.Known || b.Path != d.Path {
			return nil
		}
		addGuest(&out.Read, b.Read, d.Read)
		addGuest(&out.Write, b.Write, d.Write)
		addGuest(&out.Flush, b.Flush, d.Flush)
		out.Write.Errors += less(d.Errors, b.Errors)
	}
	if len(now.disks) == 0 {
		return nil
	}
	for _, f := range []*cluster.BlockFigures{&out.Read, &out.Write, &out.Flush} {
		if f.Requests > 0 {
			f.Guest /= time.Duration(f.Requests)
		}
	}
	return out
}

// addGuest adds one disk's requests; Guest holds the sum of their times until
// all disks are added.
func addGuest(f *cluster.BlockFigures, then, now DiskCounters) {
	f.Requests += less(now.Requests, then.Requests)
	f.Bytes += less(now.Bytes, then.Bytes)
	f.Guest += time.Duration(less(now.TimeNS, then.TimeNS))
}

// place is where all of a VM's disks lie.
type place struct {
	Backend        cluster.BlockBackend
	Shared, Hidden string
}

func placeOf(disks []DiskStats) place {
	p := place{Backend: cluster.BackendUnknown}
	var shared, hidden []string
	for i, d := range disks {
		backend := cluster.BlockBackend(d.Storage.Backend)
		switch {
		case i == 0:
			p.Backend = backend
		case p.Backend != backend:
			p.Backend = cluster.BackendMixed
		}
		if d.Storage.Shared {
			shared = append(shared, d.Storage.Identity)
		}
		if !d.Storage.Visible {
			hidden = append(hidden, d.Target+" "+d.Storage.Why)
		}
	}
	p.Shared, p.Hidden = sentence(shared), sentence(hidden)
	return p
}

// sentence joins what differs, in at most 200 bytes.
func sentence(parts []string) string {
	var out string
	seen := map[string]bool{}
	for _, part := range parts {
		part = strings.ToValidUTF8(part, "?")
		if seen[part] || len(out)+len(part) > 200 {
			continue
		}
		if seen[part] = true; out != "" {
			out += ", "
		}
		out += part
	}
	return out
}
