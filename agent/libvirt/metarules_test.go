package libvirt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func ruled(inner string) string {
	return `<evenkeel:rules xmlns:evenkeel="https://evenkeel.dev/xmlns/rules/1">` + inner + `</evenkeel:rules>`
}

func TestRulesInMetadata(t *testing.T) {
	rules, wrong := metaRulesIn(`<nova:instance xmlns:nova="x"><rules/></nova:instance>` + ruled(`
	  <evenkeel:rule kind="anti-affinity" group="db"/>
	  <evenkeel:rule kind="pin" hosts="hv1, zone=b" should="yes"/>
	  <evenkeel:rule kind="demand" cpus="2.5"/>
	  <evenkeel:rule kind="class" class="latency"/>
	  <evenkeel:rule kind="ignore" should="no"/>`))
	want := []cluster.MetaRule{
		{Kind: cluster.RuleAntiAffinity, Group: "db"},
		{Kind: cluster.RulePin, Hosts: []string{"hv1", "zone=b"}, Should: true},
		{Kind: cluster.RuleDemand, Demand: 2500, Bound: cluster.BoundExactly},
		{Kind: cluster.RuleClass, Class: cluster.ClassLatency},
		{Kind: cluster.RuleIgnore},
	}
	if diff := cmp.Diff(want, rules); diff != "" || wrong != "" {
		t.Errorf("wrong: %q, (-want +got):\n%s", wrong, diff)
	}
}

// A mistake is told, and the rules beside it stand.
func TestMistakesInMetadata(t *testing.T) {
	const pin = `<evenkeel:rule kind="pin" hosts="hv1"/>`
	for inner, want := range map[string]string{
		`<evenkeel:rule/>`:                                                       `rule 2: no kind, such as kind="pin"`,
		`<evenkeel:rule kind="class" class="fast"/>`:                             `class "fast", must be latency, normal or batch`,
		`<evenkeel:rule kind="spread"/>`:                                         `rule 2: spread needs a group`,
		`<evenkeel:rule kind="ignore" group="a"/>`:                               `only affinity, anti-affinity and spread have a group`,
		`<evenkeel:rule kind="demand" cpus="lots"/>`:                             `cpus is "lots", want a number of CPUs such as 2.5`,
		`<evenkeel:rule kind="demand" cpus="NaN"/>`:                              `cpus is "NaN"`,
		`<evenkeel:rule kind="affinity" group="a" should="may"/>`:                `should is "may", want yes or no`,
		`<evenkeel:rule kind="ignore" vms="db-*"/>`:                              `attribute "vms", want kind, group, hosts`,
		`<evenkeel:rule kind="pin" hosts="hv2"/>`:                                `rule 2: there is one about the same already`,
		`<evenkeel:pin hosts="hv1"/>`:                                            `element <pin>, want <rule>`,
		`<rule kind="ignore"/>`:                                                  `in the namespace of <rules>`,
		`<evenkeel:rule kind="ignore"><b/></evenkeel:rule>`:                      `element <b>`,
		`<evenkeel:rule kind="ign`:                                               `the element cannot be read`,
		strings.Repeat(`<evenkeel:rule kind="spread" group="g`+"\x20"+`"/>`, 99): `without spaces`,
	} {
		rules, wrong := metaRulesIn(ruled(pin + inner))
		if len(rules) == 0 || rules[0].Kind != cluster.RulePin || !strings.Contains(wrong, want) {
			t.Errorf("%s: %d rules, %q, want %q", inner, len(rules), wrong, want)
		}
	}
	many := ""
	for i := range cluster.MaxMetaRules + 1 {
		many += fmt.Sprintf(`<evenkeel:rule kind="spread" group="g%d"/>`, i)
	}
	if rules, wrong := metaRulesIn(ruled(many)); len(rules) != cluster.MaxMetaRules || wrong != "rule 9: a VM has at most 8" {
		t.Errorf("%d rules, %q", len(rules), wrong)
	}
	for _, others := range []string{"", "<a", "<rules/>", `<rules xmlns="https://example.com/"><rule kind="pin"/></rules>`, `<a xmlns="x">` + ruled(pin) + `</a>`} {
		if rules, wrong := metaRulesIn(others); rules != nil || wrong != "" {
			t.Errorf("%s: %v, %q", others, rules, wrong)
		}
	}
}

// Whatever stands there, what is made of it the State takes.
func FuzzMetaRules(f *testing.F) {
	for _, s := range []string{
		"", ruled(`<evenkeel:rule kind="anti-affinity" group="db"/><evenkeel:rule kind="pin" hosts="hv1,zone=b" should="yes"/>`),
		ruled(`<evenkeel:rule kind="demand" cpus="1e300"/><evenkeel:rule kind="class" class="` + "\u0085" + `"/>`), ruled(`<evenkeel:rule kind="pin" hosts="[,"`),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, wrong := metaRulesIn(text)
		m := cluster.MetaRules{VM: "00000000-0000-4000-8000-000000000001", Rules: rules, Wrong: wrong}
		if err := m.Check(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
