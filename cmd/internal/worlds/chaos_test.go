package worlds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// fault is something bad that begins and ends.
type fault struct {
	name   string
	weight int
	// strike begins it; what it returns ends it. It may take its time.
	strike func(f *fleet, rng *rand.Rand) (heal func())
}

// faults are all of them. At most two are under way at once, so that now and
// then a majority is lost, but not always.
var faults = []fault{
	{"member killed", 4, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		d.kill()
		return d.start
	}},
	{"agent killed", 3, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(hypervisors)]
		d.kill()
		return d.start
	}},
	{"daemon restarted", 2, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(len(f.daemons))]
		d.stop()
		return d.start
	}},
	{"host cut off", 4, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		f.isolate(d.i, +1)
		return func() { f.isolate(d.i, -1) }
	}},
	{"agent cut off", 2, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(hypervisors)]
		f.isolate(d.i, +1)
		return func() { f.isolate(d.i, -1) }
	}},
	{"one way cut", 3, func(f *fleet, rng *rand.Rand) func() {
		a := f.someMember(rng).i
		b := (a + 1 + rng.IntN(len(f.daemons)-1)) % len(f.daemons)
		f.sever(a, b, +1)
		f.connect()
		return func() { f.sever(a, b, -1); f.connect() }
	}},
	{"deaf or dumb", 3, func(f *fleet, rng *rand.Rand) func() {
		d, deaf := f.someMember(rng), rng.IntN(2) == 0
		set := func(n int) {
			for o := range f.daemons {
				if o != d.i && deaf {
					f.sever(o, d.i, n)
				} else if o != d.i {
					f.sever(d.i, o, n)
				}
			}
			f.connect()
		}
		set(+1)
		return func() { set(-1) }
	}},
	{"disk frozen", 3, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		d.harm(+1, 0, 0)
		return func() { d.harm(-1, 0, 0) }
	}},
	{"disk full", 3, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		d.harm(0, +1, 0)
		return func() { d.harm(0, -1, 0) }
	}},
	{"disk slow", 2, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		d.harm(0, 0, +1)
		return func() { d.harm(0, 0, -1) }
	}},
	{"host suspended", 3, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(len(f.daemons))]
		if f.asleep(d.i) {
			return nil
		}
		d.suspend()
		return d.resume
	}},
	{"clock stepped", 2, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(len(f.daemons))]
		step := -time.Hour
		if d.mem == nil && rng.IntN(2) == 0 {
			step = time.Hour // of a member see TestFault16Clocks
		}
		d.clock.off.Add(int64(step))
		return func() { d.clock.off.Add(int64(-step)) }
	}},
	{"clock drifts", 2, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(len(f.daemons))]
		d.clock.since.Store(time.Now().UnixNano())
		d.clock.drift.Store(int64(rng.IntN(40_000) - 20_000)) // up to 2 %
		return func() { d.clock.drift.Store(0) }
	}},
	{"libvirt down", 3, func(f *fleet, rng *rand.Rand) func() {
		d := f.daemons[rng.IntN(hypervisors)]
		set := func(n int) {
			d.mu.Lock()
			d.libvirt += n
			d.mu.Unlock()
		}
		set(+1)
		return func() { set(-1) }
	}},
}

// someMember is a voter, the leader more often than not.
func (f *fleet) someMember(rng *rand.Rand) *daemon {
	if rng.IntN(2) == 0 {
		for _, m := range f.members {
			if p := m.running(); p != nil {
				if _, leads := p.node.Leading(); leads {
					return m
				}
			}
		}
	}
	return f.members[rng.IntN(len(f.members))]
}

// chaos plays until so much time has passed, and heals everything.
func (f *fleet) chaos(play time.Duration) {
	rng := rand.New(rand.NewPCG(f.seed, 1))
	var under sync.WaitGroup
	slots := make(chan struct{}, 2)
	for f.age() < play {
		f.sleep(time.Duration(rng.IntN(30)) * time.Second)
		slots <- struct{}{}
		ft, lasts := pick(rng), time.Duration(1+rng.IntN(60))*time.Second
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		under.Go(func() {
			defer func() { <-slots }()
			f.trace("%s for %v", ft.name, lasts)
			heal := ft.strike(f, own)
			if heal == nil {
				return
			}
			f.count("fault " + ft.name)
			f.sleep(lasts)
			heal()
			f.trace("%s no more", ft.name)
		})
		if rng.IntN(2) == 0 {
			f.truth.stir()
		}
		if rng.IntN(6) == 0 && !f.alone {
			f.meddle(rng)
		}
		if rng.IntN(3) == 0 && !f.alone {
			f.hasten()
			f.claimAgain()
		}
	}
	under.Wait()
}

func pick(rng *rand.Rand) fault {
	all := 0
	for _, ft := range faults {
		all += ft.weight
	}
	n := rng.IntN(all)
	for _, ft := range faults {
		if n -= ft.weight; n < 0 {
			return ft
		}
	}
	panic("weights")
}

// meddle is what operators do.
func (f *fleet) meddle(rng *rand.Rand) {
	now := cluster.TimeOf(time.Now().Add(epoch))
	var body cluster.Body
	switch rng.IntN(8) {
	case 5:
		f.drain(rng)
		return
	case 6, 7:
		f.ask(rng)
		return
	case 0:
		body = cluster.Pause{Until: now.Add(time.Duration(10+rng.IntN(60)) * time.Second)}
	case 1:
		body = cluster.Resume{}
	case 2:
		body = cluster.SetMode{Mode: cluster.ModeRecommend}
	case 3:
		body = cluster.SetMode{Mode: cluster.ModeAuto}
	case 4:
		body = cluster.Cancel{Move: fmt.Sprintf("m-%x", 1+rng.IntN(20))}
		f.laws.mu.Lock()
		for m := range f.laws.newest.Live() {
			body = cluster.Cancel{Move: m.ID}
		}
		f.laws.mu.Unlock()
	}
	if err := f.propose(body, 10*time.Second); err == nil {
		f.count("operator's " + cluster.Command{Body: body}.Kind())
		f.trace("operator: %+v", body)
	}
	if _, recommends := body.(cluster.SetMode); recommends {
		f.own.Go(func() {
			f.sleep(30 * time.Second)
			_ = f.propose(cluster.SetMode{Mode: cluster.ModeAuto}, time.Minute)
		})
	}
}

// hasten is a leader that has lost its patience: it moves the VM that moved
// last, as if there were no mode, pause, freeze, warm-up or cooldown. The State
// has the last word, and the laws look at what it takes.
func (f *fleet) hasten() {
	f.laws.mu.Lock()
	s := f.laws.newest
	f.laws.mu.Unlock()
	var asked cluster.Asked
	for _, m := range s.MovesBackward() {
		if m.State == cluster.MoveDone {
			asked = cluster.Asked{By: "haste", VM: m.VM}
			break
		}
	}
	d, orders := rebalancer.Ask(s, f.members[0].id, s.Now, asked)
	if len(orders) == 0 {
		f.count("haste in vain: " + string(d.Code))
		return
	}
	d.Asked, d.Trigger, orders[0].Trigger = nil, cluster.TriggerAuto, cluster.TriggerAuto
	f.count("haste")
	for _, m := range f.members {
		if p := m.running(); p != nil && !f.asleep(m.i) {
			ctx, cancel := context.WithTimeout(f.ctx, time.Second)
			_, _ = p.propose(ctx, cluster.Command{
				ID: f.nextID(), Actor: cluster.Actor{Kind: cluster.KindAgent, ID: m.id, Name: m.name}, Body: cluster.Decide{Decision: d, Orders: orders[:1]},
			})
			cancel()
		}
	}
}

// claimAgain is a source that has forgotten what it was granted, and asks for it
// by a new command.
func (f *fleet) claimAgain() {
	f.laws.mu.Lock()
	s := f.laws.newest
	f.laws.mu.Unlock()
	for m := range s.Live() {
		source, _ := s.Member(m.Source)
		if m.ClaimedAt == 0 {
			continue
		}
		f.count("claimed again")
		_ = f.proposeAs(cluster.Actor{Kind: cluster.KindAgent, ID: m.Source, Name: source.Name}, cluster.Claim{Move: m.ID, Incarnation: source.Incarnation}, time.Second)
	}
}

// drain empties a host for a while, or only closes it, and gives it back.
func (f *fleet) drain(rng *rand.Rand) {
	host := f.daemons[rng.IntN(hypervisors)].id
	drain, restore := rng.IntN(3) > 0, rng.IntN(2) == 0
	lasts := time.Duration(20+rng.IntN(100)) * time.Second
	if f.propose(cluster.SetCordon{Host: host, Drain: drain}, 10*time.Second) != nil {
		return
	}
	f.count("operator's set-cordon")
	f.trace("operator: cordon of %s, drain %v, restore %v, for %v", host[34:], drain, restore, lasts)
	f.own.Go(func() {
		f.sleep(lasts)
		_ = f.propose(cluster.LiftCordon{Host: host, Restore: restore}, time.Minute)
	})
}

// ask moves a VM by hand.
func (f *fleet) ask(rng *rand.Rand) {
	f.laws.mu.Lock()
	s := f.laws.newest
	f.laws.mu.Unlock()
	asked := cluster.Asked{By: operator.Name, VM: f.truth.vms[rng.IntN(len(f.truth.vms))].id}
	if rng.IntN(2) == 0 {
		asked.Target = f.daemons[rng.IntN(hypervisors)].id
	}
	d, orders := rebalancer.Ask(s, f.members[0].id, s.Now, asked)
	if len(orders) == 0 {
		f.count("operator asked in vain: " + string(d.Code))
		return
	}
	if err := f.propose(cluster.Decide{Decision: d, Orders: orders}, 5*time.Second); err == nil {
		f.count("operator's order")
	}
}

// elected is told when a member begins to lead.
func (f *fleet) elected(i int, term uint64) {
	f.count("leader found")
	f.trace("%s leads in term %d", f.daemons[i].name, term)
}

// A majority of healthy members has a leader again within promised, 99 times
// in 100, and within latest always: 2.1 s until an idle leader's disk is known
// to hang, 3 s until the others miss its heartbeats, and a vote that was split.
const (
	promised = 5 * time.Second
	latest   = 9 * time.Second
)

// watchLeaders measures for how long a healthy majority is without a leader.
func (f *fleet) watchLeaders() {
	var since time.Time // when a leader was first missed by the present majority
	var last [voters]bool
	for late := false; f.sleep(50 * time.Millisecond); {
		now, ok := f.healthy()
		leads := f.leads()
		if leads && !since.IsZero() && now == last {
			f.mu.Lock()
			f.waits = append(f.waits, time.Since(since))
			f.mu.Unlock()
		}
		if leads || !ok || now != last {
			since, last, late = time.Time{}, now, false
		}
		if leads || !ok {
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if wait := time.Since(since); wait > latest && !late {
			late = true
			f.broken("no leader for %v although %v of the members are healthy: %s", wait, now, f.census())
		}
	}
}

// healthy says which members are up, have a good disk, and reach another such
// member both ways: of three voters, any two of those are a majority.
func (f *fleet) healthy() (now [voters]bool, majority bool) {
	for i, m := range f.members {
		for j, o := range f.members[:i] {
			if m.fit() && o.fit() && f.reaches(m.i, o.i) && f.reaches(o.i, m.i) {
				now[i], now[j], majority = true, true, true
			}
		}
	}
	return now, majority
}

// fit: the process is up, its host awake, its disk quick.
func (d *daemon) fit() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proc != nil && d.sleeps == nil && d.frozen == 0 && d.full == 0 && d.slow == 0
}

// writes: the disk takes entries, and be it slowly.
func (d *daemon) writes() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sleeps == nil && d.frozen == 0 && d.full == 0
}

// census is what the members know of themselves.
func (f *fleet) census() string {
	var b strings.Builder
	for _, m := range f.members {
		p := m.running()
		if p == nil {
			fmt.Fprintf(&b, "\n%s is down", m.name)
			continue
		}
		h := p.node.Health()
		fmt.Fprintf(&b, "\n%s: %s of term %d, log %d, commit %d, follows %q, contact %v, unfit %q, asleep %v, disk frozen %d full %d, reaches",
			m.name, h.Part, h.Term, h.LastIndex, h.CommitIndex, h.Leader, h.Contact, h.Unfit, f.asleep(m.i), m.frozen, m.full)
		for _, o := range f.members {
			if o != m && f.reaches(m.i, o.i) {
				fmt.Fprintf(&b, " %s", o.name)
			}
		}
	}
	return b.String()
}

// leads says whether some member leads that can: its disk takes entries, and
// it speaks with a majority.
func (f *fleet) leads() bool {
	for _, m := range f.members {
		p := m.running()
		if p == nil || !m.writes() {
			continue
		}
		met := 0
		for _, o := range f.members {
			if o.running() != nil && f.reaches(m.i, o.i) && f.reaches(o.i, m.i) {
				met++
			}
		}
		if _, leads := p.node.Leading(); leads && met > voters/2 {
			return true
		}
	}
	return false
}
