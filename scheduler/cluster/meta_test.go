package cluster

import (
	"strings"
	"testing"
	"time"
)

// tellMetas has a host describe its VMs, some with rules in their metadata.
func (w *world) tellMetas(host string, revision uint64, vms []string, metas ...MetaRules) {
	w.t.Helper()
	w.must(byHost(host), describing(revision, vms, metas...))
}

func describing(revision uint64, vms []string, metas ...MetaRules) Describe {
	b := Describe{Incarnation: 1, Revision: revision, Offer: fullOffer(), Metas: metas}
	for _, vm := range vms {
		b.VMs = append(b.VMs, Needy{vm, 0})
	}
	if len(vms) > 0 {
		b.Needs = []*Need{fullNeed()}
	}
	return b
}

func ids(rules []Rule) string {
	var out []string
	for _, r := range rules {
		out = append(out, r.ID)
	}
	return strings.Join(out, " ")
}

// Rules of metadata are held like operators', follow the VM, stay for 7 days when they
// vanish, and can be dropped then.
func TestRulesOfMetadata(t *testing.T) {
	w := newWorld(t)
	pin := MetaRule{Kind: RulePin, Hosts: []string{"hv1"}}
	apart := MetaRule{Kind: RuleAntiAffinity, Group: "db"}
	w.tellMetas(hv1, 1, []string{vmA}, MetaRules{VM: vmA, Rules: []MetaRule{pin, apart}})
	all := w.s.AllRules()
	if got := ids(all); got != "meta-anti-affinity-db meta-pin-"+vmA {
		t.Fatalf("rules %s", got)
	}
	name := w.s.vmName(vmA)
	if r := w.s.Ruling().Forbids(vmA, hv2); r == nil || r.Code != CodeRulePin || !strings.Contains(r.Text, "libvirt metadata of "+name+" on hv1") {
		t.Errorf("to hv2: %v", r)
	}

	// An operator's rule of the kind counts in its place, for that VM.
	w.must(byOperator, SetRules{Set: []RuleChange{{RuleSpec: RuleSpec{Name: "anywhere", Kind: RulePin, VMs: []string{vmA}, Hosts: []string{"*"}}}}})
	if r := w.s.Ruling().Forbids(vmA, hv2); r != nil {
		t.Errorf("overruled, and yet %v", r)
	}
	if n := w.s.RuleMembers(all[1]); n != 0 {
		t.Errorf("an overruled rule is for %d VMs", n)
	}
	w.must(byOperator, SetRules{Remove: []string{"r-1"}})

	// While it stands in a definition it cannot be removed by a command.
	w.refuses(CodeNotYours, byOperator, SetRules{Remove: []string{"meta-pin-" + vmA}})
	w.refuses(CodeUnknownRule, byOperator, SetRules{Remove: []string{"meta-pin-" + vmB}})

	// Somebody makes the VM anew from a template: the rules hold on, for a while.
	w.tellMetas(hv1, 2, []string{vmA})
	gone := w.s.Now
	if until := w.s.MetaExpires()["meta-pin-"+vmA]; until != gone.Add(7*24*time.Hour) {
		t.Errorf("gone at %v, in force until %v", gone, until)
	}
	w.s.Now = gone.Add(MetaKept - 1)
	if r := w.s.Ruling().Forbids(vmA, hv2); r == nil {
		t.Error("forgotten before 7 days were over")
	}
	dropped, err := w.s.Apply(Meta{Index: w.s.Index + 1, Term: w.s.Term}, Command{Level: 1, Actor: byOperator, At: w.s.Now, Body: SetRules{Remove: []string{"meta-pin-" + vmA}}})
	if err != nil || ids(dropped.AllRules()) != "meta-anti-affinity-db" {
		t.Errorf("dropped by command: %v, %s", err, ids(dropped.AllRules()))
	}
	later := w.s
	later.Now = gone.Add(MetaKept)
	if r := later.Ruling().Forbids(vmA, hv2); r != nil {
		t.Errorf("after 7 days: %v", r)
	}
	w.tellMetas(hv1, 3, []string{vmA}, MetaRules{VM: vmA, Rules: []MetaRule{apart}})
	if got := ids(w.s.AllRules()); got != "meta-anti-affinity-db" || len(w.s.MetaExpires()) != 0 {
		t.Errorf("put back in part: %s, %v", got, w.s.MetaExpires())
	}
}

// A VM that leaves a host, or that could not be read, keeps its rules.
func TestRulesOfMetadataFollowTheVM(t *testing.T) {
	w := newWorld(t)
	class := MetaRules{VM: vmA, Rules: []MetaRule{{Kind: RuleClass, Class: ClassBatch}}}
	w.tellMetas(hv1, 1, []string{vmA}, class)
	unread := describing(2, []string{vmA})
	unread.Needs = []*Need{{Unread: "libvirt was away"}}
	w.must(byHost(hv1), unread)
	if w.s.Metas[0].Gone != 0 {
		t.Error("what could not be read is taken to be gone")
	}
	w.tellMetas(hv2, 1, []string{vmA}, class)
	w.tellMetas(hv1, 3, nil)
	if m := w.s.Metas[0]; m.Gone != 0 || m.Host != hv2 {
		t.Errorf("moved to hv2: %+v", m)
	}
	if got, by := w.s.classOf(vmA, ""); got != ClassBatch || !by.FromMetadata() {
		t.Errorf("class %s by %s", got, by.title())
	}
	w.tellMetas(hv2, 2, nil)
	if m := w.s.Metas[0]; m.Gone != w.s.Now {
		t.Errorf("nowhere: %+v", m)
	}
}

func TestRulesOfMetadataThatCannotBe(t *testing.T) {
	w := newWorld(t)
	rule := func(r MetaRule) []MetaRules { return []MetaRules{{VM: vmA, Rules: []MetaRule{r}}} }
	pin := MetaRule{Kind: RulePin, Hosts: []string{"hv1"}}
	for name, metas := range map[string][]MetaRules{
		"no kind":            rule(MetaRule{}),
		"a group of one":     rule(MetaRule{Kind: RulePin, Hosts: []string{"hv1"}, Group: "db"}),
		"no group":           rule(MetaRule{Kind: RuleSpread}),
		"a group of words":   rule(MetaRule{Kind: RuleSpread, Group: "a b"}),
		"no hosts":           rule(MetaRule{Kind: RulePin}),
		"an unknown class":   rule(MetaRule{Kind: RuleClass, Class: "fast"}),
		"a demand of naught": rule(MetaRule{Kind: RuleDemand, Bound: BoundExactly}),
		"two pins":           {{VM: vmA, Rules: []MetaRule{pin, pin}}},
		"too many":           {{VM: vmA, Rules: make([]MetaRule, MaxMetaRules+1)}},
		"of a VM elsewhere":  {{VM: vmB, Rules: []MetaRule{pin}}},
		"an endless remark":  {{VM: vmA, Wrong: strings.Repeat("x", maxText+1)}},
		"a remark unprinted": {{VM: vmA, Wrong: "a\x00"}},
	} {
		if err := w.apply(byHost(hv1), describing(1, []string{vmA}, metas...)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if len(w.s.Metas) != 0 {
		t.Errorf("kept %+v", w.s.Metas)
	}
}
