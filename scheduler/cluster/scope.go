package cluster

import (
	"path"
	"strings"
)

// Scope is whom mode auto is for: VMs and hosts by patterns of their names, as
// path.Match reads them. A list without patterns is for all. Of the others
// moves are recommended.
type Scope struct {
	VMs   []string `json:"vms,omitempty"`
	Hosts []string `json:"hosts,omitempty"` // both ends of a move must be among them
}

// MaxPatterns bounds each list of a scope.
const MaxPatterns = 64

func (c Scope) check() error {
	for _, list := range [][]string{c.VMs, c.Hosts} {
		if len(list) > MaxPatterns {
			return refuse(CodeTooMany, "%d patterns, at most %d", len(list), MaxPatterns)
		}
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > maxName || !printable(p) {
				return refuse(CodeAbsurdFigure, "pattern %.40q is none; write names, with * for any characters, ? for one, [a-c] for one of several", p)
			}
		}
	}
	return nil
}

// String says whom it is for, "" if that is everybody.
func (c Scope) String() string {
	var parts []string
	if len(c.VMs) > 0 {
		parts = append(parts, "VMs "+strings.Join(c.VMs, ", "))
	}
	if len(c.Hosts) > 0 {
		parts = append(parts, "hosts "+strings.Join(c.Hosts, ", "))
	}
	return strings.Join(parts, " on ")
}

func matches(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// VMSelected says why mode auto is not for a VM, or nil. A VM that an operator
// set to auto by itself need not be selected.
func (s State) VMSelected(vm, name string) *Refusal {
	if rule, _ := s.VMRule(vm); rule.Mode == ModeAuto || matches(s.Scope.VMs, name) {
		return nil
	}
	return refusal(CodeNotSelected, "%s is not among the %s that mode auto is for", name, Scope{VMs: s.Scope.VMs})
}

// HostSelected says why mode auto is not for a host, or nil.
func (s State) HostSelected(host string) *Refusal {
	name := s.HostName(host)
	if matches(s.Scope.Hosts, name) {
		return nil
	}
	return refusal(CodeNotSelected, "%s is not among the %s that mode auto is for", name, Scope{Hosts: s.Scope.Hosts})
}
