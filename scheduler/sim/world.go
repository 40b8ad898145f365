package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// world is a scenario while it plays.
type world struct {
	scenario   Scenario
	state      cluster.State
	now        time.Duration // since the start
	grain      time.Duration // of a tick
	planner    planner       // nil: the product's
	machines   []*machine
	guests     []*guest
	byID       map[string]*guest
	migrations []*migration
	events     []Event
	rec        *recorder
	witness    func(Applied) // is told of every command, nil: nobody
	err        error
}

const (
	clusterID = "00000000-0000-4000-8000-00000000c1a5"
	leaderID  = "00000000-0000-4000-8000-0000000000e0"
	epoch     = cluster.Time(1_790_000_000_000_000_000)
	term      = 1
)

func (w *world) at() cluster.Time { return epoch.Add(w.now) }

// planner decides in a world. Those that are no policies of the product see
// what no leader can, or stand for other tools.
type planner func(*world) scheduler.Result

// Run plays a scenario under a policy; "" takes the scenario's. Beside the
// product's policies it knows Peers and the bound, see there.
func Run(s Scenario, policy string) (Outcome, error) { return Record(s, policy, nil) }

// Applied is a command that a run applied.
type Applied struct {
	Before  cluster.State
	Meta    cluster.Meta
	Command cluster.Command
	Refused bool // it changed nothing but time
}

// Record plays like [Run], and tells witness of every command as a member's
// journal would keep it.
func Record(s Scenario, policy string, witness func(Applied)) (Outcome, error) {
	s, name, plan := s.under(policy)
	if err := s.check(); err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	w := newWorld(s, witness)
	w.planner, w.rec.out.Policy = plan, name
	for w.now < s.For && w.err == nil {
		w.tick()
	}
	if w.err != nil {
		return Outcome{}, fmt.Errorf("%s at %v: %w", s.Name, w.now, w.err)
	}
	return w.rec.finish(w), nil
}

func newWorld(s Scenario, witness func(Applied)) *world {
	w := &world{scenario: s, witness: witness, state: cluster.New(clusterID), byID: map[string]*guest{}, events: s.Events, rec: newRecorder(s)}
	w.grain = s.Tick
	if w.grain == 0 {
		w.grain = tick
	}
	rng := rand.New(rand.NewPCG(s.Seed, 0))
	leader := cluster.Actor{Kind: cluster.KindWitness, ID: leaderID, Name: "leader"}
	w.must(leader, cluster.SetSettings{Settings: s.Settings})
	w.must(leader, cluster.SetMode{Mode: cluster.ModeAuto})
	for i, h := range s.Hosts {
		m := &machine{Host: h, id: fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1), tick: w.grain, agent: agent{revision: 1}}
		w.machines = append(w.machines, m)
		w.must(m.actor(), cluster.Announce{Cluster: clusterID, Member: cluster.Member{
			ID: m.id, Name: h.Name, Role: cluster.RoleHypervisor, Incarnation: 1, Level: 1, CPUs: h.CPUs, Memory: h.Memory,
			MigrationPeerURI: "sim://" + h.Name, MigrationURI: "sim://" + h.Name,
		}})
	}
	for i, v := range s.VMs {
		g := &guest{VM: v, id: fmt.Sprintf("00000000-0000-4000-8000-%012x", i+1), slot: uint32(i), past: make([]counters, window/w.grain+1)}
		g.course.begin(&s, g)
		if v.Burst > 0 {
			g.phase = time.Duration(rng.Int64N(int64(v.Burst)))
		} else {
			_ = rng.Int64() // so that one VM's burst changes no other's phase
		}
		w.guests, w.byID[g.id] = append(w.guests, g), g
		for _, m := range w.machines {
			if m.Name == v.On {
				m.take(g, 0)
			}
		}
	}
	w.rec.open(w)
	return w
}

func (m *machine) actor() cluster.Actor {
	return cluster.Actor{Kind: cluster.KindAgent, ID: m.id, Name: m.Name}
}

// tick lets a grain of time pass: work and migrations, then figures, then
// whoever has something to say, and once a second the leader; where a tick is a
// second, whenever there are new figures.
func (w *world) tick() {
	w.happen()
	for _, m := range w.machines {
		m.moving = 0
	}
	for _, m := range w.migrations {
		if !m.over {
			w.step(m)
		}
	}
	for _, g := range w.guests {
		g.remember(w.now, w.grain)
		g.arrive(w.now, w.grain)
	}
	for _, m := range w.machines {
		m.work(w.grain)
	}
	w.now += w.grain
	w.publish()
	w.agents()
	w.rec.tick(w)
	switch {
	case w.grain == time.Second:
		w.rec.marks(w)
		if w.now%window == 0 {
			w.lead()
		}
	case w.now%time.Second == 0:
		w.rec.second(w)
		w.lead()
	}
}

func (w *world) happen() {
	for len(w.events) > 0 && w.events[0].At <= w.now {
		e := w.events[0]
		w.events = w.events[1:]
		for _, g := range w.guests {
			if e.VM != "" && g.Name == e.VM {
				g.Work = e.Work
			}
		}
		for _, m := range w.machines {
			switch m.Name {
			case e.Silent:
				m.agent.silentUntil = w.now + e.For
			case e.Slow:
				m.Link = e.Link
			}
		}
	}
}

func (w *world) publish() {
	var batch []cluster.Snapshot
	for _, m := range w.machines {
		if s, due := m.publish(w.now, w.at(), w.state.Settings); due {
			batch = append(batch, s)
		}
	}
	if len(batch) == 0 {
		return
	}
	rejected := w.state.Rejected
	w.must(leader(), cluster.Snapshots{Batch: batch})
	if w.state.Rejected != rejected {
		w.err = fmt.Errorf("the State refused a snapshot of a simulated host")
	}
}

func leader() cluster.Actor {
	return cluster.Actor{Kind: cluster.KindWitness, ID: leaderID, Name: "leader"}
}

// lead is the leader's second: it ends what is overdue, plans, and orders.
func (w *world) lead() {
	for m := range w.state.Live() {
		due := m.Deadline
		if m.State == cluster.MoveRunning {
			due = m.Overdue(w.state.Settings)
		}
		if (m.State == cluster.MoveOrdered || m.State == cluster.MoveRunning) && w.at() > due {
			w.must(leader(), cluster.Expire{Move: m.ID})
		}
	}
	if w.state.Holding() != nil {
		return
	}
	plan := w.planner
	if plan == nil {
		plan = func(w *world) scheduler.Result {
			return scheduler.Plan(scheduler.Input{State: w.state, Now: w.at().Std(), Seed: w.scenario.Seed})
		}
	}
	r := plan(w)
	if len(r.Moves) == 0 {
		w.rec.still(r)
		return
	}
	d := cluster.Decision{ID: w.state.NextDecisionID(), Index: r.Index, Policy: r.Policy, Trigger: cluster.TriggerAuto, Result: cluster.ResultMoved, Text: r.Moves[0].Reason}
	switch err := w.apply(leader(), cluster.Decide{Decision: d, Orders: w.orders(r)}); {
	case err == nil:
	case w.planner != nil:
		return // peers know no budgets
	default:
		w.err = fmt.Errorf("the State refused a plan: %w", err)
		return
	}
	for _, m := range r.Moves {
		w.rec.ordered(w, m)
	}
}

func (w *world) orders(r scheduler.Result) []cluster.Order {
	var out []cluster.Order
	set := w.state.Settings
	for i, m := range r.Moves {
		out = append(out, cluster.Order{
			ID: w.state.NextMoveID(i), VM: m.VM, Source: m.Source, Target: m.Target, Trigger: cluster.TriggerAuto, Reason: m.Reason,
			Term: term, DecidedOn: r.Index, Deadline: w.at().Add(set.ClaimWithin), StartWindow: set.StartWindow, Budget: set.MoveBudget,
			Predicted: m.Predicted,
		})
	}
	return out
}

func (w *world) apply(by cluster.Actor, body cluster.Body) error {
	a := Applied{
		Before: w.state, Meta: cluster.Meta{Index: w.state.Index + 1, Term: term},
		Command: cluster.Command{Level: 1, Actor: by, At: w.at(), Body: body},
	}
	next, err := w.state.Apply(a.Meta, a.Command)
	w.state = next
	if a.Refused = err != nil; w.witness != nil {
		w.witness(a)
	}
	return err
}

// must is for what the State has no reason to refuse: a refusal is a mistake
// of the simulation or of the planner, and ends the run.
func (w *world) must(by cluster.Actor, body cluster.Body) {
	if err := w.apply(by, body); err != nil && w.err == nil {
		w.err = fmt.Errorf("the State refused %T: %w", body, err)
	}
}

// say lets an agent say something, unless it is silent; it may be refused.
func (w *world) say(m *machine, body cluster.Body) bool {
	return w.now >= m.agent.silentUntil && w.apply(m.actor(), body) == nil
}

func (w *world) machine(id string) *machine {
	for _, m := range w.machines {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (w *world) guest(id string) *guest { return w.byID[id] }
