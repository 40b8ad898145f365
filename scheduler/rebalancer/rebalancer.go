// Package rebalancer is the leader's loop. While this member leads, [Run]
// looks at the State once a second: it ends what is overdue, verifies what
// has settled, and asks [scheduler.Plan] whether a VM should move. What comes
// of it is proposed as commands; the State has the last word on each.
package rebalancer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Replica is what the loop needs of consensus.
type Replica interface {
	State() (cluster.State, uint64)
	Propose(ctx context.Context, c cluster.Command) (index uint64, err error)
}

// Config is what a Rebalancer needs.
type Config struct {
	Replica Replica
	Self    cluster.Actor // the leading member
	Now     func() time.Time
	Every   time.Duration // 0: a second
	Logger  *slog.Logger
}

// Rebalancer is one member's loop. It remembers only what it has not
// committed yet; everything that matters is in the State.
type Rebalancer struct {
	cfg Config
	log *slog.Logger
	// folds are the last evaluations that were folded instead of committed: of
	// evenkeel's own, and of what operators asked for.
	folds map[cluster.Trigger]fold
}

type fold struct {
	last       cluster.Decision
	committed  time.Time
	unrecorded int
}

// refreshRecord is how often a repeated non-decision is committed again, so
// that its count and its "last at" in the State are at most this old.
const refreshRecord = time.Minute

// New makes a Rebalancer.
func New(cfg Config) *Rebalancer {
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	return &Rebalancer{cfg: cfg, log: cfg.Logger.With("part", "rebalancer"), folds: map[cluster.Trigger]fold{}}
}

// Run loops until ctx ends, which it should when this member loses the lead.
func (r *Rebalancer) Run(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.Step(ctx)
		}
	}
}

// Step is one round.
func (r *Rebalancer) Step(ctx context.Context) {
	s, _ := r.cfg.Replica.State()
	if s.Index == 0 {
		return // nothing applied yet
	}
	now := max(s.Now, cluster.TimeOf(r.cfg.Now()))
	for _, body := range Chores(s, now) {
		if _, err := r.propose(ctx, body); err != nil && cluster.RefusalOf(err) == nil {
			r.log.Warn("chore", "kind", cluster.Command{Body: body}.Kind(), "err", err)
			return
		}
	}
	s, _ = r.cfg.Replica.State()
	r.obey(ctx, s, now)
	s, _ = r.cfg.Replica.State()
	r.undo(ctx, s, now)
	s, _ = r.cfg.Replica.State()
	r.decide(ctx, s, now)
}

func (r *Rebalancer) propose(ctx context.Context, body cluster.Body) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.cfg.Replica.Propose(ctx, cluster.Command{Actor: r.cfg.Self, Body: body})
}

// decide plans and commits the decision, with orders if the State lets any be
// given.
func (r *Rebalancer) decide(ctx context.Context, s cluster.State, now cluster.Time) {
	if s.Mode == cluster.ModeOff {
		return
	}
	d, orders := Evaluate(s, r.cfg.Self.ID, now)
	r.commit(ctx, s, d, orders)
}

// commit proposes a decision with its orders, or records that it has none.
func (r *Rebalancer) commit(ctx context.Context, s cluster.State, d cluster.Decision, orders []cluster.Order) {
	if len(orders) == 0 {
		r.record(ctx, d)
		return
	}
	if _, err := r.propose(ctx, cluster.Decide{Decision: d, Orders: orders}); err != nil {
		r.refused(ctx, d, err)
		return
	}
	delete(r.folds, d.Trigger)
	for _, o := range orders {
		r.log.Info("ordered", "move", o.ID, "vm", o.VM, "source", s.HostName(o.Source), "target", s.HostName(o.Target), "reason", o.Reason)
	}
}

// refused records that the State did not take the orders: the world changed
// between plan and commit.
func (r *Rebalancer) refused(ctx context.Context, d cluster.Decision, err error) {
	why := cluster.RefusalOf(err)
	if why == nil {
		r.log.Warn("order: outcome not known", "err", err)
		return
	}
	r.log.Info("the State refused the orders", "code", why.Code, "why", why.Text)
	s, _ := r.cfg.Replica.State()
	d.ID = s.NextDecisionID()
	d.Result, d.Code, d.Text = cluster.ResultNothing, why.Code, why.Text
	r.record(ctx, d)
}

// holding says why what was planned is only recommended, or nil.
func holding(s cluster.State) *cluster.Refusal {
	if s.Mode == cluster.ModeRecommend {
		return &cluster.Refusal{Code: cluster.CodeModeRecommend, Text: "mode is recommend: `evenkeel mode auto` lets evenkeel move VMs"}
	}
	return s.Holding()
}

// record commits a decision that moves nothing, unless it repeats the last
// one: then it is counted, and committed with its count now and then.
func (r *Rebalancer) record(ctx context.Context, d cluster.Decision) {
	now, f := r.cfg.Now(), r.folds[d.Trigger]
	same := f.last.ID != "" && f.last.SameOutcome(d)
	if same && now.Sub(f.committed) < refreshRecord {
		f.unrecorded++
		r.folds[d.Trigger] = f
		return
	}
	d.Repeated = 0
	if same {
		d.Repeated = f.unrecorded
	}
	if _, err := r.propose(ctx, cluster.Decide{Decision: d}); err != nil {
		r.log.Warn("decision not recorded", "err", err)
		return
	}
	r.folds[d.Trigger] = fold{last: d, committed: now}
}

func decision(s cluster.State, leader string, p scheduler.Result) cluster.Decision {
	d := cluster.Decision{
		ID: s.NextDecisionID(), Index: p.Index, Term: s.Term, Leader: leader, Mode: s.Mode, Policy: p.Policy, Seed: p.Seed, Input: s.Chain,
		Result: cluster.ResultNothing, Code: p.Code, Text: p.Text,
		Refused: p.Refused, Counts: p.Counts,
	}
	for _, m := range p.Moves {
		d.Proposed = append(d.Proposed, cluster.Candidate{VM: m.VM, Source: m.Source, Target: m.Target, Text: m.Reason, Predicted: m.Predicted, Score: m.Score})
	}
	if len(p.Moves) > 0 {
		d.Code, d.Text = "", p.Moves[0].Reason
	}
	return d
}

func orders(s cluster.State, p scheduler.Result, by cluster.Trigger, now cluster.Time) []cluster.Order {
	out := make([]cluster.Order, 0, len(p.Moves))
	for i, m := range p.Moves {
		out = append(out, cluster.Order{
			ID: s.NextMoveID(i), VM: m.VM, Source: m.Source, Target: m.Target, Trigger: by, Code: m.Code, Reason: m.Reason,
			Term: s.Term, DecidedOn: p.Index, Deadline: now.Add(s.Settings.ClaimWithin), StartWindow: s.Settings.StartWindow,
			Budget: s.Settings.MoveBudget, Predicted: m.Predicted,
		})
	}
	return out
}

// Chores are the commands that time alone makes due. Like [Evaluate] it reads
// nothing but its arguments.
func Chores(s cluster.State, now cluster.Time) []cluster.Body {
	var out []cluster.Body
	for m := range s.Live() {
		if m.State == cluster.MoveOrdered && now > m.Deadline || m.State == cluster.MoveRunning && now > m.Overdue(s.Settings) {
			out = append(out, cluster.Expire{Move: m.ID})
		}
	}
	if f, ok := silenced(s, now); ok {
		out = append(out, f)
	}
	out = append(out, foresee(s, now)...)
	return append(out, verifications(s, now)...)
}

// silenceFreeze is how long a freeze for silence lasts beyond the silence.
const silenceFreeze = 2 * time.Minute

// silenced freezes automation while too many hypervisors are silent: whatever
// silenced them may be silencing more, and moves add load to the network. One
// silent host alone is a host's failure, not the fleet's; a host that has not
// spoken yet is new; and a new leader has heard nobody yet. An operator who
// resumed knew who was silent then: it takes one more to freeze again.
func silenced(s cluster.State, now cluster.Time) (cluster.Freeze, bool) {
	if now.Sub(s.TermSince) < max(s.Settings.WarmUp, cluster.MaxSilence) {
		return cluster.Freeze{}, false
	}
	silent, all, news := 0, 0, false
	for _, h := range s.Hosts() {
		if len(h.Beats) == 0 {
			continue
		}
		all++
		if !h.Fresh(now) {
			silent++
			news = news || h.Fresh(s.ThawedAt)
		}
	}
	if silent < 2 || !news || cluster.Ratio(int64(silent)*int64(cluster.Whole)/int64(all)) <= s.Settings.FreezeSilent {
		return cluster.Freeze{}, false
	}
	if s.Frozen.Since != 0 && (s.Frozen.Until == 0 || s.Frozen.Until.Sub(now) > silenceFreeze/2) {
		return cluster.Freeze{}, false
	}
	return cluster.Freeze{Cause: fmt.Sprintf("%d of %d hypervisors are silent", silent, all), Until: now.Add(silenceFreeze)}, true
}
