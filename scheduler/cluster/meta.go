package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// MetaRule is a rule that stands in the metadata of a VM's own definition, and
// travels with the VM. It is about that VM; where it is about a group, about all
// VMs in whose metadata it stands.
type MetaRule struct {
	Kind RuleKind `json:"kind"`
	// Group names the VMs that an affinity, anti-affinity or spread is about; no
	// other kind has one.
	Group  string   `json:"group,omitempty"`
	Should bool     `json:"should,omitempty"`
	Hosts  []string `json:"hosts,omitempty"`
	Demand MilliCPU `json:"demand,omitempty"`
	Bound  Bound    `json:"bound,omitempty"`
	Class  Class    `json:"class,omitempty"`
}

// MetaRules are those of one VM.
type MetaRules struct {
	VM    string     `json:"vm"`
	Rules []MetaRule `json:"rules,omitempty"`
	// Wrong says what of the metadata is no rule, "" if all is.
	Wrong string `json:"wrong,omitempty"`
}

// VMMeta are the rules of a VM's metadata as the State knows them.
type VMMeta struct {
	MetaRules
	Name  string `json:"name"`  // of the VM, its UUID until it is known; see [State.MetaName]
	Host  string `json:"host"`  // that said it last
	Since Time   `json:"since"` // when it first said just this
	// Gone is when they were found missing, 0 while they stand there. They stay in
	// force until [MetaKept] later: whoever makes a VM anew from a template need not
	// have meant to lose them.
	Gone Time `json:"gone,omitempty"`
}

// Bounds of rules in metadata.
const (
	MaxMetaRules = 8    // of a VM
	MaxMetaVMs   = 2000 // that have some; those of others are not held
	MetaKept     = 7 * 24 * time.Hour
)

// metaPrefix begins the ids of rules that stand in metadata; operators' begin
// with "r-".
const metaPrefix = "meta-"

// groups says whether rules of the kind are about several VMs together.
func (k RuleKind) groups() bool {
	return k == RuleAffinity || k == RuleAntiAffinity || k == RuleSpread
}

// spec is the rule in the form in which operators write it.
func (r MetaRule) spec(name string, vms []string) RuleSpec {
	return RuleSpec{Name: name, Kind: r.Kind, Should: r.Should, VMs: vms, Hosts: r.Hosts, Demand: r.Demand, Bound: r.Bound, Class: r.Class}
}

// Check says what is wrong with the rule, or nil.
func (r MetaRule) Check() error {
	switch group := r.Group; {
	case r.Kind.groups() && (group == "" || len(group) > maxRuleName || !printable(group) || strings.ContainsAny(group, " \t")):
		return refuse(CodeAbsurdFigure, "%s needs a group: up to %d letters without spaces, the same for all its VMs", r.Kind, maxRuleName)
	case !r.Kind.groups() && group != "":
		return refuse(CodeAbsurdFigure, "only affinity, anti-affinity and spread have a group")
	}
	return r.spec("metadata", []string{"*"}).check()
}

// Check says what the State would refuse of them, or nil.
func (m MetaRules) Check() error { return m.check() }

func (m MetaRules) check() error {
	if len(m.Rules) > MaxMetaRules || len(m.Wrong) > maxText || m.Wrong != "" && !printable(m.Wrong) {
		return refuse(CodeTooMany, "metadata of VM %.40s: %d rules, at most %d, with a remark of %d bytes", m.VM, len(m.Rules), MaxMetaRules, len(m.Wrong))
	}
	for i, r := range m.Rules {
		if err := r.Check(); err != nil {
			return refuse(RefusalOf(err).Code, "metadata of VM %.40s: %s", m.VM, RefusalOf(err).Text)
		}
		if slices.ContainsFunc(m.Rules[:i], r.Same) {
			return refuse(CodeDuplicateName, "metadata of VM %.40s: two rules of kind %s", m.VM, r.Kind)
		}
	}
	return nil
}

// Same says whether two rules are about the same: a VM can have only one of them.
func (r MetaRule) Same(o MetaRule) bool { return r.Kind == o.Kind && r.Group == o.Group }

func (b Describe) checkMetas() error {
	if len(b.Metas) > len(b.VMs) {
		return refuse(CodeTooMany, "rules in the metadata of %d VMs of %d", len(b.Metas), len(b.VMs))
	}
	for i, m := range b.Metas {
		if _, here := b.needOf(m.VM); !here || i > 0 && m.VM <= b.Metas[i-1].VM {
			return refuse(CodeAbsurdFigure, "VM %.40q, whose metadata has rules, is not described, repeated or out of order", m.VM)
		}
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

// needOf finds what a description says of a VM.
func (b Describe) needOf(vm string) (*Need, bool) {
	i, ok := slices.BinarySearchFunc(b.VMs, vm, func(n Needy, vm string) int { return cmp.Compare(n.VM, vm) })
	if !ok {
		return nil, false
	}
	return b.Needs[b.VMs[i].Need], true
}

// metaAt is where the rules of a VM's metadata are, or would be.
func metaAt(metas []VMMeta, vm string) (int, bool) {
	return slices.BinarySearchFunc(metas, vm, func(m VMMeta, vm string) int { return cmp.Compare(m.VM, vm) })
}

// noteMetas keeps what a host says of rules in its VMs' metadata. What could not be
// read this time is as it was.
func (s *State) noteMetas(host string, b Describe) {
	if len(s.Metas)+len(b.Metas) == 0 {
		return
	}
	metas := slices.Clone(s.Metas)
	for i := range metas {
		need, here := b.needOf(metas[i].VM)
		if metas[i].Gone == 0 && (here && need.Unread == "" || !here && metas[i].Host == host) {
			metas[i].Gone = s.Now // unless it is told below
		}
	}
	for _, m := range b.Metas {
		next := VMMeta{MetaRules: m, Name: s.vmName(m.VM), Host: host, Since: s.Now}
		i, known := metaAt(metas, m.VM)
		switch {
		case known:
			next.Name = s.MetaName(metas[i])
			if slices.EqualFunc(metas[i].Rules, m.Rules, MetaRule.equal) {
				next.Since = metas[i].Since
			}
			metas[i] = next
		case len(metas) < MaxMetaVMs:
			metas = slices.Insert(metas, i, next)
		}
	}
	s.Metas = slices.DeleteFunc(metas, func(m VMMeta) bool {
		return m.Gone != 0 && (len(m.Rules) == 0 || !m.inForce(s.Now))
	})
}

func (r MetaRule) equal(o MetaRule) bool {
	return r.Same(o) && r.Should == o.Should && slices.Equal(r.Hosts, o.Hosts) && r.Demand == o.Demand && r.Bound == o.Bound && r.Class == o.Class
}

// inForce says whether the rules hold: they stand there, or did within [MetaKept].
func (m VMMeta) inForce(now Time) bool { return m.Gone == 0 || now.Sub(m.Gone) < MetaKept }

// metaRule finds a rule of a kind in a VM's metadata that is in force.
func (s State) metaRule(vm string, kind RuleKind) (Rule, bool) {
	i, ok := metaAt(s.Metas, vm)
	if !ok || !s.Metas[i].inForce(s.Now) {
		return Rule{}, false
	}
	for _, r := range s.Metas[i].Rules {
		if r.Kind == kind {
			return s.ruleOf(s.Metas[i], r), true
		}
	}
	return Rule{}, false
}

// ruleOf is a rule of a VM's metadata as one of all rules.
func (s State) ruleOf(m VMMeta, r MetaRule) Rule {
	vm := s.MetaName(m)
	name, about := vm, m.VM
	if r.Kind.groups() {
		name, about = r.Group, r.Group
	}
	by := fmt.Sprintf("libvirt metadata of %s on %s", clipName(vm), clipName(s.HostName(m.Host)))
	return Rule{metaPrefix + string(r.Kind) + "-" + about, r.spec(name, []string{m.VM}), m.Since, by}
}

// MetaName is the name of a VM with rules in its metadata: what it is called now, or
// was when it was last there.
func (s State) MetaName(m VMMeta) string {
	if name := s.vmName(m.VM); name != m.VM {
		return name
	}
	return m.Name
}

// FromMetadata says that the rule stands in the metadata of its VMs' definitions.
func (r Rule) FromMetadata() bool { return strings.HasPrefix(r.ID, metaPrefix) }

// AllRules are the operators' rules, oldest first, and then those of metadata that
// are in force, by id. Where an operator's rule is for a VM, those of the same
// kind in its metadata are not; a [Rulebook] minds that. A group's rule holds for
// all its VMs unless all of them say that it should.
func (s State) AllRules() []Rule {
	if len(s.Metas) == 0 {
		return s.Rules
	}
	byID := map[string]int{}
	var metas []Rule
	for _, m := range s.Metas {
		if !m.inForce(s.Now) {
			continue
		}
		for _, r := range m.Rules {
			rule := s.ruleOf(m, r)
			i, known := byID[rule.ID]
			if !known {
				byID[rule.ID] = len(metas)
				metas = append(metas, rule)
				continue
			}
			metas[i].VMs = append(metas[i].VMs, m.VM)
			metas[i].Should = metas[i].Should && r.Should
			metas[i].Since = min(metas[i].Since, m.Since)
		}
	}
	for i, r := range metas {
		if n := len(r.VMs) - 1; n > 0 {
			metas[i].By += fmt.Sprintf(" and %d more", n)
		}
	}
	slices.SortFunc(metas, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return append(slices.Clone(s.Rules), metas...)
}

// metaMembers counts the VMs of a rule of metadata that are there, and for which no
// operator's rule is in its place.
func (s State) metaMembers(r Rule) (n int) {
	for _, vm := range r.VMs {
		_, here := s.places.get(vm)
		if here && !slices.ContainsFunc(s.Rules, func(o Rule) bool { return o.Kind == r.Kind && o.Covers(vm, s.vmName(vm)) }) {
			n++
		}
	}
	return n
}

// MetaExpires says of rules of metadata, by id, until when they hold though no VM's
// definition has them any more. A rule that one has is not among them.
func (s State) MetaExpires() map[string]Time {
	until, stands := map[string]Time{}, map[string]bool{}
	for _, m := range s.Metas {
		for _, r := range m.Rules {
			id := s.ruleOf(m, r).ID
			until[id], stands[id] = max(until[id], m.Gone.Add(MetaKept)), stands[id] || m.Gone == 0
		}
	}
	maps.DeleteFunc(until, func(id string, _ Time) bool { return stands[id] })
	return until
}

// forgetMeta removes a rule that metadata had.
func (s *State) forgetMeta(id string) error {
	metas, found := slices.Clone(s.Metas), false
	for i, m := range metas {
		kept := slices.DeleteFunc(slices.Clone(m.Rules), func(r MetaRule) bool { return s.ruleOf(m, r).ID == id })
		if len(kept) == len(m.Rules) {
			continue
		}
		if m.Gone == 0 {
			return refuse(CodeNotYours, "rule %.80s stands in the libvirt metadata of %s on %s: remove it there, or make a rule of the same kind, which counts more",
				id, clipName(s.MetaName(m)), clipName(s.HostName(m.Host)))
		}
		found, metas[i].Rules = true, kept
	}
	if !found {
		return refuse(CodeUnknownRule, "there is no rule %.80q", id)
	}
	s.Metas = slices.DeleteFunc(metas, func(m VMMeta) bool { return m.Gone != 0 && len(m.Rules) == 0 })
	return nil
}
