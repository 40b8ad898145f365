package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxInventory bounds what a host tells of its VMs, in bytes: half of what a
// snapshot may have, for figures and details need room as well. It is enough
// for some two thousand VMs with names of ordinary length.
const maxInventory = cluster.MaxDigestBytes / 2

// vmBytes is what one VM takes of that without its name, at most.
const vmBytes = 208

// bounded is as many of the guests as a host can tell of, by ascending UUID.
// Those that were told of before go first, so that a VM that comes pushes no
// other out of sight.
func (r *register) bounded(guests []Guest) []Guest {
	room, n := maxInventory, 0
	for _, g := range guests {
		room -= g.told()
	}
	if room >= 0 && len(guests) <= cluster.MaxVMsPerHost {
		return guests
	}
	known := func(g Guest) int {
		if _, has := r.slots[g.UUID]; has {
			return 0
		}
		return 1
	}
	kept := slices.Clone(guests)
	slices.SortStableFunc(kept, func(a, b Guest) int { return cmp.Compare(known(a), known(b)) })
	for room = maxInventory; n < min(len(kept), cluster.MaxVMsPerHost) && room >= kept[n].told(); n++ {
		room -= kept[n].told()
	}
	kept = kept[:n]
	slices.SortFunc(kept, func(a, b Guest) int { return cmp.Compare(a.UUID, b.UUID) })
	return kept
}

// told is how many bytes it takes at most to tell of a guest.
func (g Guest) told() int {
	n := vmBytes
	for i := range len(g.Name) {
		switch c := g.Name[i]; {
		case c < ' ' || c >= utf8.RuneSelf || strings.IndexByte(`<>&"\`, c) >= 0:
			n += len(`\u003c`) // JSON writes < so
		default:
			n++
		}
	}
	return n
}

// tells notes how many of all VMs a host can tell of; a.mu is held.
func (a *Agent) tells(told []Guest, all int) {
	was := a.untold
	switch a.untold = all - len(told); {
	case a.untold > 0 && was == 0:
		a.log.Error("more VMs run here than a host can tell of: it neither gives nor takes any", "vms", all, "told", len(told))
	case a.untold == 0 && was > 0:
		a.log.Info("all VMs are told of again", "vms", all)
	}
}

// hold says why this host neither gives nor takes VMs, "" if it does: an
// operator's file, or VMs of which nobody else knows.
func (a *Agent) hold() string {
	if a.cfg.Hold != nil {
		if why := a.cfg.Hold(); why != "" {
			return why
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return overfull(a.untold, len(a.guests))
}

func overfull(untold, told int) string {
	if untold == 0 {
		return ""
	}
	return fmt.Sprintf("%d VMs run here, and it can tell of %d at most", told+untold, told)
}
