package rebalancer

import (
	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Evaluate is what a leader decides on a State at an instant, and which orders
// it gives. It reads nothing else, so a decision can be made again from a
// journal: the State at its Index, and its PlannedAt.
func Evaluate(s cluster.State, leader string, now cluster.Time) (cluster.Decision, []cluster.Order) {
	result := scheduler.Plan(scheduler.Input{State: s, Now: now.Std()})
	d := decision(s, leader, result)
	d.PlannedAt = now
	if len(result.Moves) == 0 {
		return d, nil
	}
	if held := holding(s); held != nil {
		d.Result, d.Code, d.Text = cluster.ResultRecommended, held.Code, held.Text
		return d, nil
	}
	d.Result = cluster.ResultMoved
	return d, orders(s, result, now)
}
