package scheduler_test

import (
	"slices"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// tellPause is an operator's word about a host or VM, for an hour; "resume"
// alone is about all.
func (f *fleet) tellPause(d *datadriven.TestData) string {
	if len(names(d)) == 0 {
		f.must(operator, cluster.Resume{})
		return ""
	}
	hostID, vmID := "", ""
	if id := f.idOf(names(d)[0]); slices.ContainsFunc(f.hosts, func(h *host) bool { return h.name == names(d)[0] }) {
		hostID = id
	} else {
		vmID = id
	}
	var body cluster.Body = cluster.Resume{Host: hostID, VM: vmID}
	if d.Cmd == "pause" {
		body = cluster.Pause{Until: f.state.Now.Add(time.Hour), Host: hostID, VM: vmID}
	}
	f.must(operator, body)
	return ""
}

// tellRule is an operator's word about a VM.
func (f *fleet) tellRule(d *datadriven.TestData) string {
	rule := cluster.SetVMRule{VM: f.idOf(names(d)[0])}
	for _, a := range d.CmdArgs[1:] {
		switch a.Key {
		case "mode":
			rule.Mode = cluster.Mode(a.Vals[0])
		case "moves":
			rule.MovesPerDay = f.integer(a.Vals[0])
		case "downtime":
			rule.DowntimePerDay = f.duration(a.Vals[0])
		case "quiet": // in so long a time, for an hour
			rule.Quiet = []string{"daily 01:00-02:00 UTC"}
			from := f.state.Now.Add(f.duration(a.Vals[0]))
			f.must(operator, rule)
			f.must(leader, cluster.ForeseeQuiet{VM: rule.VM, From: from, Until: from.Add(time.Hour)})
			return ""
		}
	}
	f.must(operator, rule)
	return ""
}

// tellScope sets mode auto for some.
func (f *fleet) tellScope(d *datadriven.TestData) string {
	scope := &cluster.Scope{}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "vms":
			scope.VMs = a.Vals
		case "hosts":
			scope.Hosts = a.Vals
		}
	}
	f.must(operator, cluster.SetMode{Mode: cluster.ModeAuto, Scope: scope})
	return ""
}

// tellRules makes a rule, or removes one:
//
//	rule NAME KIND vms=(…) [hosts=(…)] [should] [demand=N bound=B] [class=C]
//	unrule NAME
func (f *fleet) tellRules(d *datadriven.TestData) string {
	n := names(d)
	if d.Cmd == "unrule" {
		r, _ := f.state.Rule(n[0])
		f.must(operator, cluster.SetRules{Remove: []string{r.ID}})
		return ""
	}
	rule := cluster.RuleSpec{Name: n[0], Kind: cluster.RuleKind(n[1])}
	for _, a := range d.CmdArgs[2:] {
		switch a.Key {
		case "vms":
			rule.VMs = a.Vals
		case "hosts":
			rule.Hosts = a.Vals
		case "should":
			rule.Should = true
		case "demand":
			rule.Demand = f.milli(a.Vals[0])
		case "bound":
			rule.Bound = cluster.Bound(a.Vals[0])
		case "class":
			rule.Class = cluster.Class(a.Vals[0])
		}
	}
	f.must(operator, cluster.SetRules{Set: []cluster.RuleChange{{RuleSpec: rule}}})
	return ""
}
