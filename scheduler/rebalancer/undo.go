package rebalancer

import (
	"context"
	"fmt"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Undo is what a leader decides on a move that made things worse: to take it
// back, or to recommend that. There is no decision where none is regretted, or
// all that is to be said of it has been said. Like [Evaluate] it reads nothing
// but its arguments.
func Undo(s cluster.State, leader string, now cluster.Time) (d cluster.Decision, orders []cluster.Order, due bool) {
	if s.Mode == cluster.ModeOff {
		return d, nil, false
	}
	for _, m := range s.Regretted(now) {
		if _, live := s.LiveMove(m.VM); live {
			continue
		}
		if d, orders = undo(s, leader, now, m); worthSaying(s, d, len(orders) > 0, now) {
			return d, orders, true
		}
	}
	return d, nil, false
}

func undo(s cluster.State, leader string, now cluster.Time, m cluster.Move) (cluster.Decision, []cluster.Order) {
	why := fmt.Sprintf("takes %s back, which made things worse: %s", m.ID, m.Why)
	result := scheduler.Ask(scheduler.Input{State: s, Now: now.Std()}, m.VM, m.Source, why)
	held := s.Undoable(m)
	for i := range result.Moves {
		result.Moves[i].Code = cluster.CodeUndo
		if held == nil {
			held = s.Withheld(orders(s, result, cluster.TriggerAuto, now)[i])
		}
	}
	if result.Code != "" {
		result.Text = fmt.Sprintf("%s made things worse, and cannot be taken back: %s", m.ID, result.Text)
	}
	d, out := decided(s, leader, now, result, cluster.TriggerAuto, held)
	d.Undoes = m.ID
	return d, out
}

// worthSaying says whether a decision on a regretted move says anything new:
// each outcome is recorded once, and different ones not within a minute.
func worthSaying(s cluster.State, d cluster.Decision, orders bool, now cluster.Time) bool {
	for _, last := range s.DecisionsBackward() {
		if last.Undoes != d.Undoes {
			continue
		}
		if now.Sub(last.LastAt) < refreshRecord {
			return false
		}
		return orders || !last.SameOutcome(d)
	}
	return true
}

// undo takes back what was regretted.
func (r *Rebalancer) undo(ctx context.Context, s cluster.State, now cluster.Time) {
	d, orders, due := Undo(s, r.cfg.Self.ID, now)
	switch {
	case !due:
	case len(orders) > 0:
		r.commit(ctx, s, d, orders)
	default:
		if _, err := r.propose(ctx, cluster.Decide{Decision: d}); err != nil {
			r.log.Warn("decision not recorded", "err", err)
		}
	}
}
