package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func pinned(name string) RuleSpec {
	return RuleSpec{Name: name, Kind: RulePin, VMs: []string{"vm-a"}, Hosts: []string{"hv1"}}
}

func TestSetRules(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: pinned("one")}, {RuleSpec: pinned("two")}}})
	if got := w.s.Rules; len(got) != 2 || got[0].ID != "r-1" || got[1].ID != "r-2" || got[0].By != "ann" || got[0].Since != w.s.Now {
		t.Fatalf("%+v", got)
	}
	changed := pinned("one")
	changed.Hosts = []string{"hv2"}
	w.must(byOperator, SetRules{Set: []RuleChange{{"r-1", changed}, {RuleSpec: pinned("three")}}, Remove: []string{"r-2"}})
	if got := w.s.Rules; len(got) != 2 || got[0].ID != "r-1" || got[0].Hosts[0] != "hv2" || got[1].ID != "r-3" {
		t.Errorf("%+v", got)
	}
	// An id is never used again.
	w.must(byOperator, SetRules{Remove: []string{"r-3"}})
	w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: pinned("four")}}})
	if r, ok := w.s.Rule("four"); !ok || r.ID != "r-4" {
		t.Errorf("%+v", r)
	}
	// All of it or nothing.
	w.refuses(CodeUnknownRule, byOperator, SetRules{Set: []RuleChange{{RuleSpec: pinned("five")}}, Remove: []string{"r-2"}})
	w.refuses(CodeUnknownRule, byOperator, SetRules{Set: []RuleChange{{"r-9", pinned("five")}}})
	w.refuses(CodeDuplicateName, byOperator, SetRules{Set: []RuleChange{{RuleSpec: pinned("four")}}})
	w.refuses(CodeNotYours, byHost(hv1), SetRules{Remove: []string{"r-4"}})
	w.refuses(CodeAbsurdFigure, byOperator, SetRules{})
}

func TestRulesAreChecked(t *testing.T) {
	many := make([]string, MaxPatterns+1)
	for i := range many {
		many[i] = fmt.Sprint("vm", i)
	}
	for name, change := range map[string]func(r *RuleSpec){
		"no name":         func(r *RuleSpec) { r.Name = "" },
		"two words":       func(r *RuleSpec) { r.Name = "a b" },
		"long name":       func(r *RuleSpec) { r.Name = strings.Repeat("x", maxRuleName+1) },
		"name like an id": func(r *RuleSpec) { r.Name = "r-7" },
		"no UTF-8":        func(r *RuleSpec) { r.Name = "\xff" },
		"no kind":         func(r *RuleSpec) { r.Kind = "" },
		"other kind":      func(r *RuleSpec) { r.Kind = "near" },
		"no VMs":          func(r *RuleSpec) { r.VMs = nil },
		"empty pattern":   func(r *RuleSpec) { r.VMs = []string{""} },
		"broken pattern":  func(r *RuleSpec) { r.VMs = []string{"web-["} },
		"many patterns":   func(r *RuleSpec) { r.VMs = many },
		"no hosts":        func(r *RuleSpec) { r.Hosts = nil },
		"broken host":     func(r *RuleSpec) { r.Hosts = []string{"["} },
		"hosts of others": func(r *RuleSpec) { r.Kind = RuleAffinity },
		"long reason":     func(r *RuleSpec) { r.Text = strings.Repeat("x", maxText+1) },
		"unread reason":   func(r *RuleSpec) { r.Text = "a\x00b" },
		"demand of a pin": func(r *RuleSpec) { r.Demand = 1 },
		"class of a pin":  func(r *RuleSpec) { r.Class = ClassBatch },
		"should ignore":   func(r *RuleSpec) { r.Kind, r.Hosts, r.Should = RuleIgnore, nil, true },
		"no demand":       func(r *RuleSpec) { *r = RuleSpec{Name: "d", Kind: RuleDemand, VMs: r.VMs, Bound: BoundExactly} },
		"negative demand": func(r *RuleSpec) {
			*r = RuleSpec{Name: "d", Kind: RuleDemand, VMs: r.VMs, Bound: BoundExactly, Demand: -1}
		},
		"huge demand": func(r *RuleSpec) {
			*r = RuleSpec{Name: "d", Kind: RuleDemand, VMs: r.VMs, Bound: BoundExactly, Demand: maxCPUs + 1}
		},
		"demand unbounded": func(r *RuleSpec) { *r = RuleSpec{Name: "d", Kind: RuleDemand, VMs: r.VMs, Demand: 1} },
		"no class":         func(r *RuleSpec) { *r = RuleSpec{Name: "c", Kind: RuleClass, VMs: r.VMs} },
		"other class":      func(r *RuleSpec) { *r = RuleSpec{Name: "c", Kind: RuleClass, VMs: r.VMs, Class: "gold"} },
	} {
		r := pinned("one")
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		change(&r)
		w := newWorld(t)
		if err := RefusalOf(w.apply(byOperator, SetRules{Set: []RuleChange{{RuleSpec: r}}})); err == nil || err.Code != CodeAbsurdFigure && err.Code != CodeTooMany {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRulesAreBounded(t *testing.T) {
	w := newWorld(t)
	fill := SetRules{}
	for i := range MaxRules {
		r := pinned(fmt.Sprint("rule", i))
		fill.Set = append(fill.Set, RuleChange{RuleSpec: r})
	}
	w.must(byOperator, fill)
	w.refuses(CodeTooMany, byOperator, SetRules{Set: []RuleChange{{RuleSpec: pinned("more")}}})
	wide := pinned("rule0")
	wide.VMs = make([]string, MaxPatterns)
	for i := range wide.VMs {
		wide.VMs[i] = fmt.Sprint("vm", i)
	}
	grow := SetRules{}
	for i := range MaxRulePatterns/MaxPatterns + 1 {
		wide.Name = fmt.Sprint("rule", i)
		grow.Set = append(grow.Set, RuleChange{fmt.Sprintf("r-%x", i+1), wide})
	}
	w.refuses(CodeTooMany, byOperator, grow)
}

// The State holds orders against the rules, whoever gives them.
func TestStateHoldsRules(t *testing.T) {
	for _, c := range []struct {
		rule RuleSpec
		code Code
	}{
		{RuleSpec{Kind: RulePin, VMs: []string{vmA}, Hosts: []string{"hv1", "hv3"}}, CodeRulePin},
		{RuleSpec{Kind: RulePin, VMs: []string{vmB}, Hosts: []string{"hv1"}}, ""},
		{RuleSpec{Kind: RulePin, VMs: []string{vmA}, Hosts: []string{hv2}}, ""},
		{RuleSpec{Kind: RulePin, VMs: []string{vmA}, Hosts: []string{"hv1"}, Should: true}, ""},
		{RuleSpec{Kind: RuleIgnore, VMs: []string{"vm-*"}}, CodeRuleIgnore},
		{RuleSpec{Kind: RuleAffinity, VMs: []string{"vm-*"}}, CodeRuleAffinity},
		{RuleSpec{Kind: RuleAntiAffinity, VMs: []string{"vm-*"}}, ""}, // mends it
		{RuleSpec{Kind: RuleSpread, VMs: []string{"vm-*"}}, ""},
	} {
		for _, trigger := range []Trigger{TriggerAuto, TriggerOperator} {
			w := newWorld(t)
			c.rule.Name = "it"
			w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: c.rule}}})
			err := w.apply(byLeader, w.decide(w.orderOf(vmA, hv1, hv2, trigger)))
			if r := RefusalOf(err); (r == nil) != (c.code == "") || r != nil && (r.Code != c.code || !strings.Contains(r.Text, "r-1 it")) {
				t.Errorf("%s, %s: %v", c.rule, trigger, err)
			}
		}
	}
}

// Of a group one VM moves at a time; the next one ten minutes later, unless a
// person wants it sooner.
func TestGroupsMoveOneByOne(t *testing.T) {
	w := newWorld(t)
	set := w.s.Settings
	set.PerCluster, set.PerHost, set.Cooldown = 4, 4, 0
	w.must(byOperator, SetSettings{Settings: set})
	w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: RuleSpec{Name: "apart", Kind: RuleAntiAffinity, VMs: []string{"vm-*"}}}}})
	w.ordered()
	w.refuses(CodeRuleAntiAffinity, byOperator, w.decideAs(TriggerOperator, w.orderOf(vmB, hv1, hv3, TriggerOperator)))
	w = newWorld(t)
	w.must(byOperator, SetSettings{Settings: set})
	w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: RuleSpec{Name: "apart", Kind: RuleAntiAffinity, VMs: []string{"vm-*"}}}}})
	w.done()
	for after, code := range map[time.Duration]Code{groupPause - 1: CodeRuleAntiAffinity, groupPause: ""} {
		s := w.s
		s.Now = s.Now.Add(after)
		for trigger, code := range map[Trigger]Code{TriggerAuto: code, TriggerOperator: ""} {
			err := s.checkRules(w.orderOf(vmB, hv1, hv3, trigger), testVM(vmB))
			if r := RefusalOf(err); (r == nil) != (code == "") || r != nil && r.Code != code {
				t.Errorf("%v after, %s: %v", after, trigger, err)
			}
		}
	}
}

func (w *world) decideAs(trigger Trigger, o Order) Decide {
	d := w.decide(o)
	d.Decision.Trigger = trigger
	return d
}

func TestClassesAndDemands(t *testing.T) {
	w := newWorld(t)
	w.must(byOperator, SetRules{Set: []RuleChange{
		{RuleSpec: RuleSpec{Name: "a", Kind: RuleClass, VMs: []string{"vm-a"}, Class: ClassBatch}},
		{RuleSpec: RuleSpec{Name: "b", Kind: RuleDemand, VMs: []string{"vm-*"}, Demand: 500, Bound: BoundAtLeast}},
		{RuleSpec: RuleSpec{Name: "c", Kind: RuleDemand, VMs: []string{"vm-b"}, Demand: 700, Bound: BoundAtMost}},
		{RuleSpec: RuleSpec{Name: "d", Kind: RuleDemand, VMs: []string{"vm-c"}, Demand: 50, Bound: BoundExactly}},
	}})
	for _, c := range []struct {
		name           string
		measured, want MilliCPU
	}{{"vm-a", 100, 500}, {"vm-a", 900, 900}, {"vm-b", 100, 500}, {"vm-b", 900, 700}, {"vm-c", 900, 50}, {"x", 900, 900}} {
		if got := w.s.Rulebook().Demanded("", c.name, c.measured); got != c.want {
			t.Errorf("%s measured at %d is taken for %d, want %d", c.name, c.measured, got, c.want)
		}
	}
	h, _ := w.s.Host(hv1)
	load := testLoad(epoch)
	load.Contention, load.ContentionMax = 300_000, 900_000
	load.VMs = []VMLoad{{Slot: testVM(vmA).Slot, Contention: 500_000, ContentionMax: 900_000}, {Slot: testVM(vmB).Slot, Contention: 100_000, ContentionMax: 300_000}}
	if got := w.s.painOf(h.Inventory, load); got != 150_000 { // half of b's worst vCPU
		t.Errorf("pain %v", got)
	}
	load.VMs = load.VMs[:1]
	if got := w.s.painOf(h.Inventory, load); got != 0 {
		t.Errorf("pain %v of batch alone", got)
	}
	w.must(byOperator, SetRules{Remove: []string{"r-1"}})
	if got := w.s.painOf(h.Inventory, load); got != load.Pain() {
		t.Errorf("pain %v without classes", got)
	}
}

// The book finds what each rule says of itself.
func TestRulebookFindsWhatCovers(t *testing.T) {
	patterns := []string{"*", "web-*", "web-1", "w?b-1", "[vw]eb-1", "web", `web\\-1`, "*-1", "ü*", vmA, "vm-[ab]", "", "web-1*", "x"}
	var rules []Rule
	for i, p := range patterns {
		rules = append(rules, Rule{ID: fmt.Sprint(i), RuleSpec: RuleSpec{VMs: []string{"none", p, p}}})
	}
	b := rulebook(rules)
	for _, name := range []string{"web-1", "web-11", "web", "", "übung", "vm-a", "none", "x", "[vw]eb-1", "*"} {
		for _, vm := range []string{vmA, vmB} {
			var want []int
			for i, r := range rules {
				if r.Covers(vm, name) {
					want = append(want, i)
				}
			}
			if got := b.covering(vm, name); !slices.Equal(got, want) {
				t.Errorf("%s %q: %v, want %v", vm, name, got, want)
			}
		}
	}
}
