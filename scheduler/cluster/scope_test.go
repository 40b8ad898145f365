package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestScope(t *testing.T) {
	for _, c := range []struct {
		name    string
		scope   Scope
		rule    Mode
		vm      string
		vmSel   bool
		hv1Sel  bool
		inWords string
	}{
		{name: "everybody", vm: "web-1", vmSel: true, hv1Sel: true},
		{name: "by name", scope: Scope{VMs: []string{"web-1"}}, vm: "web-1", vmSel: true, hv1Sel: true, inWords: "VMs web-1"},
		{name: "by pattern", scope: Scope{VMs: []string{"db", "web-*"}}, vm: "web-1", vmSel: true, hv1Sel: true, inWords: "VMs db, web-*"},
		{name: "spaces and umlauts", scope: Scope{VMs: []string{"Büro ?"}}, vm: "Büro 7", vmSel: true, hv1Sel: true, inWords: "VMs Büro ?"},
		{name: "another", scope: Scope{VMs: []string{"web-*"}}, vm: "db", hv1Sel: true, inWords: "VMs web-*"},
		{name: "another, set to auto by itself", scope: Scope{VMs: []string{"web-*"}}, rule: ModeAuto, vm: "db", vmSel: true, hv1Sel: true, inWords: "VMs web-*"},
		{name: "hosts", scope: Scope{Hosts: []string{"hv[23]"}}, vm: "web-1", vmSel: true, inWords: "hosts hv[23]"},
		{name: "both", scope: Scope{VMs: []string{"*"}, Hosts: []string{"hv1", "hv2"}}, vm: "db", vmSel: true, hv1Sel: true, inWords: "VMs * on hosts hv1, hv2"},
	} {
		w := newWorld(t)
		if c.rule != "" {
			w.must(byOperator, SetVMRule{VM: vmA, Mode: c.rule})
		}
		w.must(byOperator, SetMode{Mode: ModeAuto, Scope: &c.scope})
		if got := w.s.VMSelected(vmA, c.vm) == nil; got != c.vmSel {
			t.Errorf("%s: the VM is selected: %v", c.name, got)
		}
		if got := w.s.HostSelected(hv1) == nil; got != c.hv1Sel {
			t.Errorf("%s: the host is selected: %v", c.name, got)
		}
		if got := w.s.Scope.String(); got != c.inWords {
			t.Errorf("%s: %q", c.name, got)
		}
		err := w.s.checkAutomatic(w.orderOf(vmA, hv1, hv2, TriggerAuto), VM{UUID: vmA, Name: c.vm})
		if r := RefusalOf(err); (r != nil && r.Code == CodeNotSelected) == (c.vmSel && c.hv1Sel) {
			t.Errorf("%s: the State says %v", c.name, err)
		}
		w.must(byOperator, SetMode{Mode: ModeAuto})
		if w.s.Scope.String() != "" {
			t.Errorf("%s: mode auto for all is for %s", c.name, w.s.Scope)
		}
	}
}

func TestScopesAreRefused(t *testing.T) {
	w := newWorld(t)
	many := slices.Repeat([]string{"web"}, MaxPatterns+1)
	w.refuses(CodeTooMany, byOperator, SetMode{Mode: ModeAuto, Scope: &Scope{VMs: many}})
	w.refuses(CodeTooMany, byOperator, SetMode{Mode: ModeAuto, Scope: &Scope{Hosts: many}})
	for _, bad := range []string{"", "[", "a\x1b", strings.Repeat("x", maxName+1)} {
		w.refuses(CodeAbsurdFigure, byOperator, SetMode{Mode: ModeAuto, Scope: &Scope{VMs: []string{"web", bad}}})
	}
	w.refuses(CodeAbsurdFigure, byOperator, SetMode{Mode: ModeRecommend, Scope: &Scope{VMs: []string{"web"}}})
	if w.s.Scope.String() != "" {
		t.Errorf("scope %v", w.s.Scope)
	}
}
