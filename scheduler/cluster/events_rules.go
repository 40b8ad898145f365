package cluster

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// rules tells what operators said about single VMs.
func (t *teller) rules() {
	if _, ok := t.c.Body.(SetRules); ok {
		t.rulebook()
	}
	b, ok := t.c.Body.(SetVMRule)
	if !ok {
		return
	}
	was, had := t.before.VMRule(b.VM)
	is, has := t.after.VMRule(b.VM)
	name := t.after.vmName(b.VM)
	about := []Subject{{SubjectVM, b.VM, name}}
	switch {
	case has && (is.Mode != was.Mode || is.MovesPerDay != was.MovesPerDay || is.DowntimePerDay != was.DowntimePerDay || !slices.Equal(is.Quiet.Windows, was.Quiet.Windows)):
		t.asked(EventVMRuled, about, "%s: %s, says %s%s", name, is, is.By, because(is.Text))
	case had && !has:
		t.asked(EventVMRuled, about, "%s: what holds for the cluster holds for it again, says %s%s", name, t.c.Actor.who(), because(b.Text))
	}
}

// rulebook tells what became of rules, each in an event of its own.
func (t *teller) rulebook() {
	who := t.c.Actor.who()
	for _, was := range t.before.Rules {
		if _, still := t.after.Rule(was.ID); !still {
			t.asked(EventRulesChanged, nil, "rule %s is no more, says %s%s", was.title(), who, because(t.c.Body.(SetRules).Text))
		}
	}
	for _, is := range t.after.Rules {
		was, had := t.before.Rule(is.ID)
		if !had || !reflect.DeepEqual(was.RuleSpec, is.RuleSpec) {
			t.asked(EventRulesChanged, nil, "rule %s: %s, says %s%s", is.title(), is.RuleSpec, who, because(is.Text))
		}
	}
}

// foreigns tells of moves by other hands.
func (t *teller) foreigns() {
	for _, f := range t.after.Foreigns {
		if f.SeenAt != t.after.Now || slices.Contains(t.before.Foreigns, f) {
			continue
		}
		name := t.after.vmName(f.VM)
		t.tell(EventVMMovedAway, []Subject{{SubjectVM, f.VM, name}, t.as(SubjectSource, f.Source), t.as(SubjectTarget, f.Target)},
			"%s went from %s to %s by other hands than evenkeel's", name, t.name(f.Source), t.name(f.Target))
	}
}

// quiet tells what operators said about quiet hours.
func (t *teller) quiet() {
	was, is := t.before.Quiet, t.after.Quiet
	switch {
	case slices.Equal(was.Windows, is.Windows):
	case len(is.Windows) == 0:
		t.asked(EventQuietChanged, nil, "there are no quiet hours any more, says %s", t.c.Actor.who())
	default:
		t.asked(EventQuietChanged, nil, "quiet hours are %s, says %s%s", strings.Join(is.Windows, "; "), is.By, because(is.Text))
	}
}

// String says what a rule asks for.
func (r VMRule) String() string {
	var parts []string
	if r.Mode != "" {
		parts = append(parts, "mode "+string(r.Mode))
	}
	if r.MovesPerDay != 0 {
		parts = append(parts, fmt.Sprintf("at most %d moves a day", r.MovesPerDay))
	}
	if r.DowntimePerDay != 0 {
		parts = append(parts, fmt.Sprintf("at most %v of standstill a day", r.DowntimePerDay))
	}
	if len(r.Quiet.Windows) > 0 {
		parts = append(parts, "left alone "+strings.Join(r.Quiet.Windows, " and "))
	}
	return strings.Join(parts, ", ")
}

// vmName is a VM's name for people, its id if no host reports it.
func (s State) vmName(vm string) string {
	p, _ := s.places.get(vm)
	for _, host := range p.Hosts {
		h, _ := s.hosts.get(host)
		for _, v := range h.Inventory.VMs {
			if v.UUID == vm {
				return v.Name
			}
		}
	}
	return vm
}
