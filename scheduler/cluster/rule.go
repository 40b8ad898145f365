package cluster

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rule is what operators say about where VMs may be, and what they are. It
// holds for every move of evenkeel's, by itself or asked for.
type Rule struct {
	ID string `json:"id"` // "r-3"
	RuleSpec
	Since Time   `json:"since"`
	By    string `json:"by"`
}

// RuleSpec is the part of a rule that an operator writes.
type RuleSpec struct {
	Name string   `json:"name"` // unique, for people and files
	Kind RuleKind `json:"kind"`
	// Should bends the rule where that is worth it; else it is held.
	Should bool `json:"should,omitempty"`
	// VMs are whom it is for: patterns of names as path.Match reads them, or UUIDs.
	VMs []string `json:"vms"`
	// Hosts are where a pin lets VMs be: patterns of names, ids, or zone=NAME.
	Hosts []string `json:"hosts,omitempty"`
	// Demand is the CPU that a VM of a rule of kind demand is taken to want, and
	// Bound how that stands to what is measured.
	Demand MilliCPU `json:"demand,omitempty"`
	Bound  Bound    `json:"bound,omitempty"`
	Class  Class    `json:"class,omitempty"` // of a rule of kind class
	Text   string   `json:"text,omitempty"`  // why
}

// RuleKind says what a rule asks for.
type RuleKind string

// The kinds.
const (
	RuleAffinity     RuleKind = "affinity"      // the VMs run on one host
	RuleAntiAffinity RuleKind = "anti-affinity" // no two of the VMs run on one host
	RuleSpread       RuleKind = "spread"        // no zone has more of the VMs than its even share
	RulePin          RuleKind = "pin"           // the VMs run on some hosts only
	RuleIgnore       RuleKind = "ignore"        // the VMs stay where they are
	RuleDemand       RuleKind = "demand"        // the VMs are taken to want so much CPU
	RuleClass        RuleKind = "class"         // what the VMs are for
)

// RuleKinds lists all.
func RuleKinds() []RuleKind {
	return []RuleKind{RuleAffinity, RuleAntiAffinity, RuleSpread, RulePin, RuleIgnore, RuleDemand, RuleClass}
}

// Bound says how a demand that is set stands to the measured one.
type Bound string

// The bounds.
const (
	BoundExactly Bound = "exactly"
	BoundAtLeast Bound = "at-least"
	BoundAtMost  Bound = "at-most"
)

// Class is what a VM is for.
type Class string

// The classes.
const (
	ClassLatency Class = "latency" // evenkeel only recommends moves of it, unless the VM's own mode is auto
	ClassNormal  Class = "normal"
	ClassBatch   Class = "batch" // that it waits is no reason to do anything
)

// SetRules adds rules, replaces those whose ids are given, and removes others:
// all of it or nothing, so that no rule of a file is in force without the rest.
type SetRules struct {
	Set    []RuleChange `json:"set,omitempty"`
	Remove []string     `json:"remove,omitempty"` // ids
	Text   string       `json:"text,omitempty"`
}

// RuleChange is a rule to be added, or to take the place of one.
type RuleChange struct {
	ID string `json:"id,omitempty"` // "": a new one
	RuleSpec
}

// Bounds of rules.
const (
	MaxRules = 256
	// MaxRulePatterns bounds the patterns of all rules together: each VM of the
	// fleet is held against each.
	MaxRulePatterns = 1024
	maxRuleName     = 64
)

func (SetRules) kind() string { return "set-rules" }

func (b SetRules) apply(s *State, _ Meta, c *Command) error {
	if c.Actor.Kind != KindOperator {
		return refuse(CodeNotYours, "only an operator makes rules")
	}
	if len(b.Set)+len(b.Remove) == 0 || len(b.Set)+len(b.Remove) > 2*MaxRules || len(b.Text) > maxText {
		return refuse(CodeAbsurdFigure, "%d rules to set and %d to remove, with a reason of %d bytes", len(b.Set), len(b.Remove), len(b.Text))
	}
	rules := slices.Clone(s.Rules)
	for _, id := range b.Remove {
		if strings.HasPrefix(id, metaPrefix) {
			if err := s.forgetMeta(id); err != nil {
				return err
			}
			continue
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
		if i < 0 {
			return refuse(CodeUnknownRule, "there is no rule %.40q", id)
		}
		rules = slices.Delete(rules, i, i+1)
	}
	last := s.LastRule
	for _, set := range b.Set {
		if err := set.check(); err != nil {
			return err
		}
		rule := Rule{set.ID, set.RuleSpec, s.Now, c.Actor.who()}
		if set.ID == "" {
			last++
			rule.ID = fmt.Sprintf("r-%x", last)
			rules = append(rules, rule)
			continue
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == set.ID })
		if i < 0 {
			return refuse(CodeUnknownRule, "there is no rule %.40q", set.ID)
		}
		rules[i] = rule
	}
	if err := checkRules(rules); err != nil {
		return err
	}
	s.Rules, s.LastRule = rules, last
	return nil
}

// checkRules bounds all rules together.
func checkRules(rules []Rule) error {
	patterns, names := 0, map[string]string{}
	for _, r := range rules {
		patterns += len(r.VMs)
		if other, twice := names[r.Name]; twice {
			return refuse(CodeDuplicateName, "rule %s is called %s already", other, r.Name)
		}
		names[r.Name] = r.ID
	}
	if len(rules) > MaxRules || patterns > MaxRulePatterns {
		return refuse(CodeTooMany, "%d rules with %d patterns of VMs, at most %d and %d", len(rules), patterns, MaxRules, MaxRulePatterns)
	}
	return nil
}

// Check says what is wrong with a rule, or nil.
func (r RuleSpec) Check() error { return r.check() }

func (r RuleSpec) check() error {
	if r.Name == "" || len(r.Name) > maxRuleName || !printable(r.Name) || strings.ContainsAny(r.Name, " \t") || strings.HasPrefix(r.Name, "r-") {
		return refuse(CodeAbsurdFigure, "rule name %.40q: write up to %d letters without spaces, not beginning with r-", r.Name, maxRuleName)
	}
	if !slices.Contains(RuleKinds(), r.Kind) {
		return refuse(CodeAbsurdFigure, "rule %s: kind %.20q, must be one of %s", r.Name, r.Kind, wordsOf(RuleKinds()))
	}
	if len(r.Text) > maxText || r.Text != "" && !printable(r.Text) {
		return refuse(CodeAbsurdFigure, "rule %s: a reason of %d bytes, at most %d, printable", r.Name, len(r.Text), maxText)
	}
	if len(r.VMs) == 0 {
		return refuse(CodeAbsurdFigure, "rule %s: say which VMs it is for", r.Name)
	}
	if err := (Scope{VMs: r.VMs, Hosts: r.Hosts}).check(); err != nil {
		return refuse(RefusalOf(err).Code, "rule %s: %s", r.Name, RefusalOf(err).Text)
	}
	return r.checkKind()
}

// checkKind asks for what the kind needs, and for nothing else.
func (r RuleSpec) checkKind() error {
	placing := slices.Contains([]RuleKind{RuleAffinity, RuleAntiAffinity, RuleSpread, RulePin}, r.Kind)
	switch {
	case (r.Kind == RulePin) != (len(r.Hosts) > 0):
		return refuse(CodeAbsurdFigure, "rule %s: a pin needs hosts, and no other kind has them", r.Name)
	case r.Should && !placing:
		return refuse(CodeAbsurdFigure, "rule %s: only affinity, anti-affinity, spread and pin may be bent (should)", r.Name)
	case r.Kind == RuleDemand && (r.Demand < 1 || r.Demand > maxCPUs):
		return refuse(CodeAbsurdFigure, "rule %s: demand of %d thousandths of a CPU, must lie between 1 and %d", r.Name, r.Demand, maxCPUs)
	case r.Kind == RuleDemand && !slices.Contains([]Bound{BoundExactly, BoundAtLeast, BoundAtMost}, r.Bound):
		return refuse(CodeAbsurdFigure, "rule %s: bound %.20q, must be exactly, at-least or at-most", r.Name, r.Bound)
	case r.Kind != RuleDemand && (r.Demand != 0 || r.Bound != ""):
		return refuse(CodeAbsurdFigure, "rule %s: only kind demand has a demand", r.Name)
	case r.Kind == RuleClass && !slices.Contains([]Class{ClassLatency, ClassNormal, ClassBatch}, r.Class):
		return refuse(CodeAbsurdFigure, "rule %s: class %.20q, must be latency, normal or batch", r.Name, r.Class)
	case r.Kind != RuleClass && r.Class != "":
		return refuse(CodeAbsurdFigure, "rule %s: only kind class has a class", r.Name)
	}
	return nil
}

func wordsOf[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// Covers says whether the rule is for a VM.
func (r RuleSpec) Covers(vm, name string) bool {
	return slices.ContainsFunc(r.VMs, func(p string) bool {
		ok, err := path.Match(p, name)
		return p == vm || ok && err == nil
	})
}

// Allows says whether a pin lets VMs be on a host.
func (r RuleSpec) Allows(m Member) bool {
	return slices.ContainsFunc(r.Hosts, func(p string) bool {
		if zone, ok := strings.CutPrefix(p, "zone="); ok {
			return zone == m.Zone
		}
		ok, err := path.Match(p, m.Name)
		return p == m.ID || ok && err == nil
	})
}

// String says what the rule asks for.
func (r RuleSpec) String() string {
	text := string(r.Kind)
	if r.Should {
		text += " (should)"
	}
	text += " of " + strings.Join(r.VMs, ", ")
	switch r.Kind {
	case RulePin:
		text += " to " + strings.Join(r.Hosts, ", ")
	case RuleDemand:
		text += fmt.Sprintf(": %s %.3g CPUs", r.Bound, r.Demand.CPUs())
	case RuleClass:
		text += ": " + string(r.Class)
	}
	return text
}

// title names a rule in a text.
func (r Rule) title() string {
	switch {
	case r.FromMetadata() && r.Kind.groups():
		return "group " + r.Name + ", " + r.By
	case r.FromMetadata():
		return r.By
	}
	return r.ID + " " + r.Name
}

// refuses is a refusal that names the rule.
func (r Rule) refuses(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Text: r.title() + fmt.Sprintf(format, args...), Rule: r.ID}
}

// Rule finds a rule by its id or its name.
func (s State) Rule(idOrName string) (Rule, bool) {
	for _, r := range s.Rules {
		if r.ID == idOrName || r.Name == idOrName {
			return r, true
		}
	}
	return Rule{}, false
}
