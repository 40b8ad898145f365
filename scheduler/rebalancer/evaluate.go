package rebalancer

import (
	"slices"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Evaluate is what a leader decides on a State at an instant, and which orders
// it gives. It reads nothing else, so a decision can be made again from a
// journal: the State at its Index, and its PlannedAt.
func Evaluate(s cluster.State, leader string, now cluster.Time) (cluster.Decision, []cluster.Order) {
	in, held := scheduler.Input{State: s, Now: now.Std()}, holding(s)
	result := scheduler.Plan(in)
	if kept := leftAlone(result); kept {
		in.Advise = true
		if advice := scheduler.Plan(in); len(advice.Moves) > 0 {
			if result = advice; held == nil {
				held = recommendOnly(s, advice.Moves[0])
			}
		}
	}
	return decided(s, leader, now, result, cluster.TriggerAuto, held)
}

// leftAlone says whether a plan came to nothing, and had to leave VMs out that
// evenkeel may only recommend moves of.
func leftAlone(r scheduler.Result) bool {
	return len(r.Moves) == 0 && slices.ContainsFunc(r.Counts, func(c cluster.CodeCount) bool {
		return c.Code == cluster.CodeVMMode || c.Code == cluster.CodeNotSelected
	})
}

// recommendOnly says why a move is only recommended that is planned for a VM
// in that mode.
func recommendOnly(s cluster.State, step scheduler.Step) *cluster.Refusal {
	for _, r := range []*cluster.Refusal{s.OwnMode(step.VM, step.VMName), s.VMSelected(step.VM, step.VMName), s.HostSelected(step.Source), s.HostSelected(step.Target)} {
		if r != nil {
			return r
		}
	}
	return &cluster.Refusal{Code: cluster.CodeVMMode, Text: "moves of " + step.VMName + " are only recommended"}
}

// decided makes a record of what was planned, and orders unless something
// holds them back.
func decided(s cluster.State, leader string, now cluster.Time, result scheduler.Result, by cluster.Trigger, held *cluster.Refusal) (cluster.Decision, []cluster.Order) {
	d := decision(s, leader, result)
	d.PlannedAt, d.Trigger = now, by
	switch {
	case len(result.Moves) == 0:
		return d, nil
	case held != nil:
		d.Result, d.Code, d.Text = cluster.ResultRecommended, held.Code, held.Text
		return d, nil
	}
	d.Result = cluster.ResultMoved
	return d, orders(s, result, by, now)
}
