package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// suffering lists the hosts that have suffered long enough, worst first; if
// there are none it says why. Unknown hosts are no reason to do anything.
func suffering(f *fleet) ([]*host, *cluster.Refusal) {
	var out []*host
	var worst *host
	for _, h := range f.hosts {
		if h.unknown != nil {
			continue
		}
		if calls(f, h) == nil {
			out = append(out, h)
		}
		if worst == nil || h.pain > worst.pain {
			worst = h
		}
	}
	if len(out) == 0 {
		if worst == nil {
			return nil, f.blind()
		}
		return nil, calls(f, worst)
	}
	slices.SortStableFunc(out, func(a, b *host) int {
		return cmp.Or(cmp.Compare(b.pain, a.pain), cmp.Compare(b.waiting(), a.waiting()))
	})
	return out, nil
}

// waiting is what all VMs of a host wait together. Figures travel in steps of
// some percent, so of many hosts several suffer the same; then the host where
// more is waited for is the more urgent one.
func (h *host) waiting() (sum cluster.MilliCPU) {
	for _, l := range h.load.VMs {
		sum += l.Wait
	}
	return sum
}

// blind is why nothing can be said: no host is known.
func (f *fleet) blind() *cluster.Refusal {
	if len(f.hosts) == 0 {
		return no(cluster.CodeUnknownHost, "no hypervisor has announced itself")
	}
	return no(f.hosts[0].unknown.Code, "no hypervisor is known well enough: %s", f.hosts[0].unknown.Text)
}

// suffers says how a host calls for relief.
func suffers(_ *fleet, h *host) string { return fmt.Sprintf("%s suffers %v", h.name, h.pain) }

// calls says why a known host does not call for relief, or nil if it does. It
// calls once its excess has lasted, and goes on until it is below the exit
// threshold.
func calls(f *fleet, h *host) *cluster.Refusal {
	held := h.state.Excess >= f.set.Sustained()
	switch {
	case h.pain < f.set.Exit, !held && h.pain <= f.set.Enter:
		return no(cluster.CodeBelowThreshold, "no known host suffers more than %v: the worst is %s with %v", f.set.Enter, h.name, h.pain)
	case !h.state.Settled():
		return no(cluster.CodeDisturbed, "%s suffers %v, but its window still carries a move", h.name, h.pain)
	case !held:
		return no(cluster.CodeNotSustained, "%s suffers %v > %v, held %v of %v (profile %s)",
			h.name, h.pain, f.set.Enter, h.state.Excess.Round(time.Second), f.set.Sustained(), f.set.Profile)
	}
	return nil
}
