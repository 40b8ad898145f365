package rebalancer

import (
	"context"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Obey is what a leader decides on what operators asked for (drains, restores),
// and which orders it gives. Like [Evaluate] it reads nothing but its
// arguments. There is no decision while nobody asks for anything.
func Obey(s cluster.State, leader string, now cluster.Time) (d cluster.Decision, orders []cluster.Order, asked bool) {
	if len(s.Cordons) == 0 && len(s.Returns) == 0 {
		return d, nil, false
	}
	result := scheduler.Wishes(scheduler.Input{State: s, Now: now.Std()})
	if result.Host == "" {
		return d, nil, false
	}
	// A mode and a pause are about what evenkeel does by itself; a freeze says
	// that moves go wrong.
	d, orders = decided(s, leader, now, result, cluster.TriggerOperator, s.Braked())
	return d, orders, true
}

// Ask is what comes of an operator's order to move one VM now.
func Ask(s cluster.State, leader string, now cluster.Time, asked cluster.Asked) (cluster.Decision, []cluster.Order) {
	result := scheduler.Ask(scheduler.Input{State: s, Now: now.Std()}, asked.VM, asked.Target, "ordered by "+asked.By)
	d, orders := decided(s, leader, now, result, cluster.TriggerOperator, nil)
	d.Asked = &asked
	return d, orders
}

// obey carries on with what operators asked for.
func (r *Rebalancer) obey(ctx context.Context, s cluster.State, now cluster.Time) {
	d, orders, asked := Obey(s, r.cfg.Self.ID, now)
	if asked {
		r.commit(ctx, s, d, orders)
	}
}
