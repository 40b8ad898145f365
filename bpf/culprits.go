package bpf

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// maxHosts bounds the host tasks that a VM remembers to have waited behind.
const maxHosts = 256

// row is what one victim waited behind each other VM, by index, as far as the
// kernel's row was read, and behind host tasks by process.
type row struct {
	last  []uint64 // the kernel's cells at the last look
	total []uint64
	hosts map[int]uint64
	// surplus is waiting behind other VMs that was not sampled, and so is in no
	// cell: the next cells that grow get it, each by its share.
	surplus uint64
}

func newRow(stride int) row {
	return row{last: make([]uint64, stride), total: make([]uint64, stride), hosts: map[int]uint64{}}
}

// advance takes in the kernel's cells.
func (r *row) advance(cells []uint64) {
	var grown uint64
	for i, ns := range cells {
		grown += ns - r.last[i]
	}
	if grown == 0 {
		return
	}
	surplus := r.surplus
	for i, ns := range cells {
		d := ns - r.last[i]
		if d == 0 {
			continue
		}
		extra := portion(surplus, d, grown)
		r.surplus -= extra
		r.total[i] += d + extra
		r.last[i] = ns
	}
}

// forget empties the cell of a culprit that is gone.
func (r *row) forget(index uint16) { r.last[index], r.total[index] = 0, 0 }

// host adds a wait behind a host task. The smallest makes room.
func (r *row) host(pid int, ns uint64) {
	if _, known := r.hosts[pid]; !known && len(r.hosts) >= maxHosts {
		least := pid
		for other, waited := range r.hosts {
			if l, ok := r.hosts[least]; !ok || waited < l || waited == l && other < least {
				least = other
			}
		}
		delete(r.hosts, least)
	}
	r.hosts[pid] += ns
}

// culprits lists them, largest first. owners names the VMs by index.
func (r *row) culprits(owners []string) []Culprit {
	// Most of hundreds do not make the list: only those are put in order that
	// are not below the last place.
	waits := make([]uint64, 0, len(r.total))
	for i, ns := range r.total {
		if ns > 0 && owners[i] != "" {
			waits = append(waits, ns)
		}
	}
	for _, ns := range r.hosts {
		waits = append(waits, ns)
	}
	var least uint64
	if len(waits) > MaxCulprits {
		slices.Sort(waits)
		least = waits[len(waits)-MaxCulprits]
	}
	out := make([]Culprit, 0, MaxCulprits)
	for i, ns := range r.total {
		if ns > 0 && ns >= least && owners[i] != "" {
			out = append(out, Culprit{VM: owners[i], WaitNS: ns})
		}
	}
	for pid, ns := range r.hosts {
		if ns >= least {
			out = append(out, Culprit{PID: pid, WaitNS: ns})
		}
	}
	slices.SortFunc(out, func(a, b Culprit) int {
		return cmp.Or(cmp.Compare(b.WaitNS, a.WaitNS), cmp.Compare(a.VM, b.VM), cmp.Compare(a.PID, b.PID))
	})
	return out[:min(len(out), MaxCulprits)]
}

// hostDelta is what a thread's cells of host processes grew by. A cell that
// was given to another process begins anew.
func hostDelta(now, last *record, add func(pid int, ns uint64)) {
	for i, h := range now.Hosts {
		ns := h.Ns
		if old := last.Hosts[i]; old.Tgid == h.Tgid && old.Ns <= ns {
			ns -= old.Ns
		}
		if h.Tgid != 0 && ns > 0 {
			add(int(h.Tgid), ns)
		}
	}
}

// culprits brings a VM's row up to date and lists it. The kernel's cells only
// grow, so it does not matter how many looks at the threads lie between.
func (p *Probes) culprits(v *vm) ([]Culprit, error) {
	if err := p.readRow(v.index, p.cells); err != nil {
		return nil, err
	}
	v.row.advance(p.cells)
	return v.row.culprits(p.index.owners), nil
}

// readRow copies a victim's cells from the kernel's matrix.
func (p *Probes) readRow(index uint16, cells []uint64) error {
	buf := p.rowBuf
	if _, err := p.matrix.ReadAt(buf, int64(index)*int64(len(buf))); err != nil {
		return err
	}
	for i := range cells {
		cells[i] = binary.LittleEndian.Uint64(buf[8*i:])
	}
	return nil
}
