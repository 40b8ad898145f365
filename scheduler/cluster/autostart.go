package cluster

import (
	"iter"
	"slices"
	"time"
)

// Definitions is what becomes of a persistent VM's definitions when it moves.
// A transient VM has none, and gets none.
type Definitions string

// The policies.
const (
	DefinitionsFollow     Definitions = "follow"     // defined at the target, and no longer at the source
	DefinitionsEverywhere Definitions = "everywhere" // defined at the target as well: inactive copies stay behind
	DefinitionsTransient  Definitions = "transient"  // defined where it was: the target runs it without a definition
)

// String names the policy also where nobody chose one.
func (d Definitions) String() string {
	if d == "" {
		d = DefinitionsFollow
	}
	return string(d)
}

func (d Definitions) valid() bool {
	return d == "" || slices.Contains([]Definitions{DefinitionsFollow, DefinitionsEverywhere, DefinitionsTransient}, d)
}

// Arrive says whether the target gets a definition.
func (d Definitions) Arrive() bool { return d != DefinitionsTransient }

// Leave says whether the source loses its own.
func (d Definitions) Leave() bool { return d == "" || d == DefinitionsFollow }

// Autostart is what became of a moved VM's mark to be started with its host.
// It is no part of its definition, and libvirt's migration does not take it
// along: the source says in its start of the move that the VM has it, the
// target sets it before it testifies that the VM runs there, once the source
// has committed that the VM is gone. So it is never set at both by a move.
type Autostart string

// What became of it; "" if the VM had none.
const (
	AutostartOwed Autostart = "owed" // the VM had it at the source
	AutostartKept Autostart = "kept" // the target has set it
	AutostartLost Autostart = "lost" // the move is done, and the target has not set it
)

// after is what a move's end makes of it: a VM that stayed has it still.
func (a Autostart) after(outcome MoveState) Autostart {
	switch {
	case outcome == MoveDone && a == AutostartOwed:
		return AutostartLost
	case outcome == MoveFailed || outcome == MoveAborted:
		return ""
	}
	return a
}

func checkStarts(vms []string) error {
	if len(vms) > MaxVMsPerHost {
		return refuse(CodeTooMany, "%d VMs that are started with their host, at most %d", len(vms), MaxVMsPerHost)
	}
	for i, vm := range vms {
		if !validID(vm) || i > 0 && vm <= vms[i-1] {
			return refuse(CodeAbsurdFigure, "VM %.40q, which is started with its host, is no UUID, repeated or out of order", vm)
		}
	}
	return nil
}

// TwiceStarted is a VM that a host would start with itself, although it runs
// or is started elsewhere.
type TwiceStarted struct {
	VM    string
	Host  string // that would start a second copy
	Other string // where it runs, or would be started, too
}

// TwiceStarted tells of each such VM, by the hosts that would start it. A VM
// that does not run, and is started by several, is told of at each but one; one
// that moves, when its move has ended.
func (s State) TwiceStarted() iter.Seq[TwiceStarted] {
	return func(yield func(TwiceStarted) bool) {
		first := map[string]string{}
		for host, d := range s.descriptions.all() {
			for _, vm := range d.Starts {
				if _, moving := s.live.get(vm); moving {
					continue
				}
				other := s.elsewhere(vm, host)
				if other == "" {
					other = first[vm]
				}
				if other == "" {
					if p, _ := s.places.get(vm); len(p.Hosts) == 0 {
						first[vm] = host
					}
					continue
				}
				if !yield(TwiceStarted{vm, host, other}) {
					return
				}
			}
		}
	}
}

// elsewhere is the first host that reports a VM, "" if none but this one does.
func (s State) elsewhere(vm, host string) string {
	p, _ := s.places.get(vm)
	for _, h := range p.Hosts {
		if h != host {
			return h
		}
	}
	return ""
}

// unstartWithin is how long after a move its source may still unset what it
// left: a daemon's restart, and its first description.
const unstartWithin = 2 * time.Minute

// Unstart lists the VMs that a host still would start with itself although a
// move of ours has brought them, and that mark, to another host: their
// definitions stayed (DefinitionsEverywhere), and the source could not say so
// to libvirt when the move ended. Later than that it may be a person's wish,
// and is only told of; that it is over reaches the host with a beat.
func (s State) Unstart(host string) (vms []string) {
	d, _ := s.descriptions.get(host)
	for _, vm := range d.Starts {
		other := s.elsewhere(vm, host)
		if other == "" {
			continue
		}
		for _, m := range s.moves.backward() {
			if m.VM != vm || m.State.Live() || m.State != MoveDone {
				continue
			}
			if m.Source == host && m.Target == other && m.Autostart == AutostartKept && s.Now.Sub(m.EndedAt) < unstartWithin {
				vms = append(vms, vm)
			}
			break // only the newest tells where it went last
		}
	}
	return vms
}

func (s State) unstartDiffers(old State, member string) bool {
	if s.descriptions == old.descriptions && s.places == old.places && s.moves == old.moves {
		return false
	}
	a, _ := s.descriptions.get(member)
	b, _ := old.descriptions.get(member)
	if len(a.Starts) == 0 && len(b.Starts) == 0 {
		return false
	}
	return !slices.Equal(s.Unstart(member), old.Unstart(member))
}

// autostart tells of VMs that began, or ceased, to be started twice.
func (t *teller) autostart() {
	if t.before.descriptions == t.after.descriptions && t.before.places == t.after.places && t.before.live == t.after.live {
		return
	}
	was := map[TwiceStarted]bool{}
	for w := range t.before.TwiceStarted() {
		was[w] = true
	}
	is := map[TwiceStarted]bool{}
	for w := range t.after.TwiceStarted() {
		if is[w] = true; !was[w] {
			t.tell(EventAutostartTwice, t.starters(w), "libvirt at %s would start %s with that host, though %s has it, too: virsh autostart --disable there",
				t.name(w.Host), t.vmName(w.VM), t.name(w.Other))
		}
	}
	for w := range t.before.TwiceStarted() {
		if !is[w] {
			t.tell(EventAutostartOnce, t.starters(w), "libvirt at %s would start %s no more beside %s", t.name(w.Host), t.vmName(w.VM), t.name(w.Other))
		}
	}
}

func (t *teller) starters(w TwiceStarted) []Subject {
	return []Subject{{SubjectVM, w.VM, t.vmName(w.VM)}, t.member(w.Host), t.member(w.Other)}
}

// vmName is what a host that reports the VM calls it, its UUID if none does.
func (t *teller) vmName(vm string) string {
	for _, s := range []State{t.after, t.before} {
		p, _ := s.places.get(vm)
		for _, id := range p.Hosts {
			h, _ := s.hosts.get(id)
			for _, v := range h.Inventory.VMs {
				if v.UUID == vm {
					return v.Name
				}
			}
		}
	}
	return vm
}
