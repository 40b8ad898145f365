package whatif

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// lane is a State that takes the record's measurements and operators' words,
// and decides by itself.
type lane struct {
	Lane
	*tally
	state   cluster.State
	away    map[string]string // host by VM, of VMs that are elsewhere in the record
	twins   map[string]string // recorded move by the lane's
	ordered []string          // ids of its moves since it began
	planned cluster.Time
	made    uint64 // inventories that are not the record's
}

// leader speaks for the lane.
var leader = cluster.Actor{Kind: cluster.KindWitness, ID: "what-if", Name: "what-if"}

// every is how often the leader decides.
const every = time.Second

// begin lets the lane start from a State of the record.
func (l *lane) begin(s cluster.State) (err error) {
	l.restart()
	l.state, l.away, l.twins = s, map[string]string{}, map[string]string{}
	l.planned = s.Now
	set, err := l.settings(s.Settings)
	if err != nil {
		return err
	}
	if err := l.say(leader, cluster.SetSettings{Settings: set}); err != nil || l.Mode == "" {
		return err
	}
	return l.say(leader, cluster.SetMode{Mode: l.Mode})
}

// settings are the lane's, where the record's are these.
func (l *lane) settings(then cluster.Settings) (cluster.Settings, error) {
	if l.Change == nil {
		return then, nil
	}
	set, err := l.Change(then)
	if err == nil {
		err = set.Check()
	}
	return set, err
}

// entry takes an entry of the record, lets moves go on and the leader decide.
func (l *lane) entry(r *Run, e Entry, beats []beat, changes []change) error {
	for _, c := range changes {
		l.heed(r.past, c)
	}
	if err := l.take(r, e, beats); err != nil {
		return err
	}
	l.carry(r)
	if l.state.Now.Sub(l.planned) < every {
		return nil
	}
	l.planned = l.state.Now
	return l.lead()
}

// heed keeps the lane's placement where the record's changes. Moves of evenkeel's
// own accord are the lane's to decide; whatever else happened happens here too.
func (l *lane) heed(p *past, c change) {
	at, apart := l.away[c.vm]
	m, live := l.state.LiveMove(c.vm)
	switch {
	case c.to == "" || !c.ours:
		delete(l.away, c.vm)
	case live && m.State == cluster.MoveRunning && m.Target == c.to && l.twins[m.ID] != "":
		delete(l.away, c.vm) // the same move, whose ends have not testified yet
	case !apart:
		l.put(p, c.vm, c.from)
	default:
		l.put(p, c.vm, at)
	}
}

// put notes where a VM is in the lane.
func (l *lane) put(p *past, vm, host string) {
	if p.on[vm] == host {
		delete(l.away, vm)
		return
	}
	l.away[vm] = host
}

// take applies what does not follow from the leader's decisions: measurements,
// members, and what operators said.
func (l *lane) take(r *Run, e Entry, beats []beat) error {
	c := e.Command
	switch body := c.Body.(type) {
	case cluster.Snapshots:
		l.measure(r, e, beats)
		return nil
	case cluster.Decide:
		if e.Refused || body.Decision.Asked == nil {
			return l.pass(e, cluster.Snapshots{})
		}
		return l.pass(e, l.renumbered(body))
	case cluster.Reserve, cluster.Veto, cluster.Claim, cluster.Release, cluster.Start, cluster.Advance,
		cluster.EndJob, cluster.Testify, cluster.Expire, cluster.Cancel, cluster.Resolve, cluster.Verify, cluster.Freeze:
		// The lane's leader decides these, and carry plays the agents.
		return l.pass(e, cluster.Snapshots{})
	case cluster.SetMode:
		if l.Mode != "" {
			return l.pass(e, cluster.Snapshots{})
		}
	case cluster.SetSettings:
		if e.Refused {
			return l.pass(e, cluster.Snapshots{})
		}
		set, err := l.settings(body.Settings)
		if err != nil {
			return fmt.Errorf("with what an operator set at %s: %w", l.state.Now.Std().Format(time.RFC3339), err)
		}
		body.Settings = set
		return l.pass(e, body)
	}
	return l.pass(e, c.Body)
}

// renumbered is an order of an operator's under the lane's own numbers: it is
// given here too. Where the lane's State refuses it, the VM
// follows the record all the same, see heed.
func (l *lane) renumbered(d cluster.Decide) cluster.Decide {
	d.Decision.ID, d.Decision.Index = l.state.NextDecisionID(), l.state.Index
	d.Orders = slices.Clone(d.Orders)
	for i := range d.Orders {
		o := &d.Orders[i]
		o.ID, o.Term, o.DecidedOn = l.state.NextMoveID(i), l.state.Term, l.state.Index
	}
	return d
}

// pass applies a body with the recorded actor, time and term. A refusal is no
// error: it may be right in the lane.
func (l *lane) pass(e Entry, body cluster.Body) error {
	c := e.Command
	c.Body = body
	if _, empty := body.(cluster.Snapshots); empty {
		c.ID = "" // the command with this ID was another
	}
	next, err := l.state.Apply(cluster.Meta{Index: l.state.Index + 1, Term: e.Meta.Term}, c)
	if err != nil && cluster.RefusalOf(err) == nil {
		return err
	}
	l.state = next
	return nil
}

// say applies a command of the lane's own at its present time.
func (l *lane) say(who cluster.Actor, body cluster.Body) error {
	c := cluster.Command{Level: l.state.Level, Actor: who, At: l.state.Now, Body: body}
	next, err := l.state.Apply(cluster.Meta{Index: l.state.Index + 1, Term: l.state.Term}, c)
	if err == nil {
		l.state = next
	}
	return err
}

// lead is the leader's round, as in rebalancer.Step.
func (l *lane) lead() error {
	now := l.state.Now
	for _, body := range rebalancer.Chores(l.state, now) {
		_ = l.say(leader, body) // a refusal is an answer, as it is to the leader
	}
	if d, orders, asked := rebalancer.Obey(l.state, leader.ID, now); asked {
		if err := l.commit(d, orders); err != nil {
			return err
		}
	}
	if d, orders, due := rebalancer.Undo(l.state, leader.ID, now); due {
		if err := l.commit(d, orders); err != nil {
			return err
		}
	}
	if l.state.Mode == cluster.ModeOff {
		return nil
	}
	l.evaluations++
	d, orders := rebalancer.Evaluate(l.state, leader.ID, now)
	for _, c := range d.Proposed {
		l.answer(c.Source, now)
	}
	return l.commit(d, orders)
}

// commit takes a decision with its orders, or records that it has none.
func (l *lane) commit(d cluster.Decision, orders []cluster.Order) error {
	if len(orders) == 0 {
		return l.note(d)
	}
	err := l.say(leader, cluster.Decide{Decision: d, Orders: orders})
	if why := cluster.RefusalOf(err); why != nil {
		d.Result, d.Code, d.Text = cluster.ResultNothing, why.Code, why.Text
		return l.note(d)
	}
	if err != nil || d.Trigger == cluster.TriggerOperator {
		return err
	}
	l.decide(d.Result)
	for _, o := range orders {
		l.ordered = append(l.ordered, o.ID)
	}
	return nil
}

// note records a decision that moves nothing, unless it repeats the last one.
func (l *lane) note(d cluster.Decision) error {
	for _, last := range l.state.DecisionsBackward() {
		if last.Trigger != d.Trigger {
			continue
		}
		if last.SameOutcome(d) {
			return nil
		}
		break
	}
	if err := l.say(leader, cluster.Decide{Decision: d}); err != nil || d.Trigger == cluster.TriggerOperator {
		return err
	}
	l.decide(d.Result)
	return nil
}

// settle keeps what became of the lane's moves so far.
func (l *lane) settle() {
	for _, id := range l.ordered {
		l.keep(l.state, id)
	}
	l.ordered = nil
}
