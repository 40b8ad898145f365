package cluster

import (
	"slices"
	"strings"
	"time"
)

// reporting are the hosts whose snapshots the entry brought.
func (t *teller) reporting() []string {
	b, ok := t.c.Body.(Snapshots)
	if !ok {
		return nil
	}
	ids := make([]string, 0, len(b.Batch))
	for _, snap := range b.Batch {
		if !slices.Contains(ids, snap.Host) {
			ids = append(ids, snap.Host)
		}
	}
	return ids
}

// hosts tells what is new about hosts that reported, or are an end of a move
// that changed.
func (t *teller) hosts() {
	if t.before.hosts == t.after.hosts {
		return
	}
	ids := t.reporting()
	for _, id := range ids {
		was, _ := t.before.hosts.get(id)
		if is, ok := t.after.hosts.get(id); ok && is.Seq != was.Seq {
			t.heard(was, is)
			t.probe(was, is)
			t.suffers(was, is)
		}
	}
	for _, m := range t.moved {
		for _, id := range []string{m.Source, m.Target} {
			was, _ := t.before.hosts.get(id)
			if is, ok := t.after.hosts.get(id); ok && !slices.Contains(ids, id) {
				ids = append(ids, id)
				t.suffers(was, is)
			}
		}
	}
}

func (t *teller) heard(was, is Host) {
	if was.Fresh(t.before.Now) || !is.Fresh(t.after.Now) {
		return
	}
	last, before := was.Last()
	if !before {
		t.tell(EventHostHeard, []Subject{t.member(is.ID)}, "%s sends load snapshots", t.name(is.ID))
		return
	}
	t.tell(EventHostHeard, []Subject{t.member(is.ID)}, "%s sends load snapshots again, after %v", t.name(is.ID), t.after.Now.Sub(last.At).Round(time.Second))
}

func (t *teller) probe(was, is Host) {
	b, known := was.Last()
	a, _ := is.Last()
	had, has := !known || b.Load.Source.Causes(), a.Load.Source.Causes()
	switch {
	case had && !has:
		t.tell(EventProbeLost, []Subject{t.member(is.ID)}, "%s measures waits by %s, not by eBPF", t.name(is.ID), a.Load.Source)
	case !had && has:
		t.tell(EventProbeBack, []Subject{t.member(is.ID)}, "%s measures waits by eBPF", t.name(is.ID))
	}
}

func (t *teller) suffers(was, is Host) {
	did, does := was.Excess >= t.before.Settings.Sustained(), is.Excess >= t.after.Settings.Sustained()
	switch {
	case does && !did:
		last, _ := is.Last()
		t.tell(EventHostSuffers, []Subject{t.member(is.ID)}, "%s suffers: contention %v, threshold %v, and it lasts", t.name(is.ID), last.Load.Pain(), t.after.Settings.Enter)
	case did && !does && is.DisturbedAt != was.DisturbedAt:
		t.tell(EventHostRelieved, []Subject{t.member(is.ID)}, "%s is measured anew: a move to or from it began or ended", t.name(is.ID))
	case did && !does:
		t.tell(EventHostRelieved, []Subject{t.member(is.ID)}, "%s no longer suffers", t.name(is.ID))
	}
}

// silence tells which hosts fell silent between the entry before and this one.
// A host's beats are judged by the State after: one that has just come is fresh.
func (t *teller) silence() {
	if t.after.Now == t.before.Now {
		return
	}
	for _, h := range t.after.hosts.all() {
		last, ok := h.Last()
		if ok && !h.Fresh(t.after.Now) && h.Fresh(t.before.Now) {
			t.tell(EventHostSilent, []Subject{t.member(h.ID)}, "%s has sent no load snapshot for %v", t.name(h.ID), t.after.Now.Sub(last.At).Round(time.Second))
		}
	}
}

// duplicates tells of VMs that came to be, or ceased to be, reported by
// several hosts without a move to explain it.
func (t *teller) duplicates() {
	if t.before.places == t.after.places && t.before.live == t.after.live {
		return
	}
	for _, vm := range t.displaced() {
		did, does := t.before.duplicated(vm.UUID), t.after.duplicated(vm.UUID)
		about := []Subject{{SubjectVM, vm.UUID, vm.Name}}
		switch p, _ := t.after.places.get(vm.UUID); {
		case does && !did:
			names := make([]string, len(p.Hosts))
			for i, id := range p.Hosts {
				names[i], about = t.name(id), append(about, t.member(id))
			}
			t.tell(EventVMDuplicated, about, "%s is reported by %s", vm.Name, strings.Join(names, " and "))
		case did && !does:
			t.tell(EventVMUnique, about, "%s is reported by one host again, or none", vm.Name)
		}
	}
}

func (s *State) duplicated(vm string) bool {
	p, _ := s.places.get(vm)
	if len(p.Hosts) < 2 {
		return false
	}
	_, moving := s.live.get(vm)
	return !moving
}

// displaced are the VMs whose place the entry may have changed, each once.
func (t *teller) displaced() []VM {
	seen := map[string]bool{}
	var out []VM
	add := func(list ...VM) {
		for _, vm := range list {
			if !seen[vm.UUID] {
				seen[vm.UUID] = true
				out = append(out, vm)
			}
		}
	}
	for _, m := range t.moved {
		add(VM{UUID: m.VM, Name: m.VMName})
	}
	for _, id := range append(t.reporting(), t.removed...) {
		was, _ := t.before.hosts.get(id)
		is, _ := t.after.hosts.get(id)
		if was.Inventory.Revision != is.Inventory.Revision || len(was.Inventory.VMs) != len(is.Inventory.VMs) {
			add(is.Inventory.VMs...)
			add(was.Inventory.VMs...)
		}
	}
	return out
}
