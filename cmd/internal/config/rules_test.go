package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

var everyRule = []cluster.RuleSpec{
	{Name: "app-cache", Kind: cluster.RuleAffinity, VMs: []string{"app", "cache-?"}, Text: "they talk \"all day\" – ü"},
	{Name: "calls", Kind: cluster.RuleClass, VMs: []string{"pbx"}, Class: cluster.ClassLatency},
	{Name: "licence", Kind: cluster.RulePin, Should: true, VMs: []string{"ora*"}, Hosts: []string{"hv1", "zone=b"}},
	{Name: "shop", Kind: cluster.RuleDemand, VMs: []string{"shop"}, Demand: 2500, Bound: cluster.BoundAtLeast},
}

func TestRulesSurviveAFile(t *testing.T) {
	back := slices.Clone(everyRule)
	slices.Reverse(back)
	got, err := ParseRules("rules.yaml", WriteRules(back))
	if err != nil || cmp.Diff(everyRule, got) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(everyRule, got))
	}
	if got, err := ParseRules("rules.yaml", WriteRules(nil)); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// All that is wrong is told at once, each at its place.
func TestRuleProblems(t *testing.T) {
	const file = `rules:
- name: a
  kind: pin
  vms: [web]
  host: [hv1]
- name: a
  kind: demand
  vms: [web]
  cpus: lots
  bound: exactly
- name: c
  kind: pinn
  vms: [web]
- name: d
  kind: pin
  should: maybe
  vms: web
rulez: 1
`
	_, err := ParseRules("r.yaml", []byte(file))
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	got := problems.Error()
	for _, want := range []string{
		"r.yaml:5:3: rules[0].host: unknown key; did you mean hosts?",
		`r.yaml:6:9: rules[1].name: "a" is already the rule on line 2`,
		`r.yaml:9:9: rules[1].cpus: "lots" is no number of CPUs`,
		`r.yaml:11:3: rules[2]: rule c: kind "pinn", must be one of affinity,`,
		`r.yaml:16:11: rules[3].should: "maybe" is neither true nor false`,
		"r.yaml:17:8: rules[3].vms: expected a list",
		"r.yaml:18:1: rulez: unknown key; did you mean rules?",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if len(problems) != 7 {
		t.Errorf("%d problems:\n%s", len(problems), got)
	}
	for _, text := range []string{"", "  \n", "[]", "rules: 1", "rules:\n- 1", "\xff", strings.Repeat("#", MaxFile+1), "a: b", "rules: []\n---\nrules: []"} {
		if rules, err := ParseRules("r.yaml", []byte(text)); err == nil {
			t.Errorf("%.20q gives %v", text, rules)
		}
	}
}

// FuzzParseRules: whatever is read can be written and read again.
func FuzzParseRules(f *testing.F) {
	f.Add(WriteRules(everyRule))
	f.Add([]byte("rules: []"))
	f.Add([]byte("rules:\n- name: x\n  vms: [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := ParseRules("r.yaml", data)
		if err != nil {
			return
		}
		again, err := ParseRules("r.yaml", WriteRules(rules))
		if err != nil || len(again) != len(rules) {
			t.Fatalf("%d rules, %d read again: %v\n%s", len(rules), len(again), err, WriteRules(rules))
		}
	})
}
