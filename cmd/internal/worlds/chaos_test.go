package worlds

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
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
		d.freeze(+1)
		return func() { d.freeze(-1) }
	}},
	{"disk full", 3, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		d.fill(+1)
		return func() { d.fill(-1) }
	}},
	{"disk slow", 2, func(f *fleet, rng *rand.Rand) func() {
		d := f.someMember(rng)
		d.mem.Slow(time.Duration(20+rng.IntN(300)) * time.Millisecond)
		return func() { d.mem.Slow(0) }
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
		if rng.IntN(4) == 0 {
			f.truth.stir()
		}
		if rng.IntN(6) == 0 {
			f.meddle(rng)
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
	switch rng.IntN(5) {
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

// elected is told when a member begins to lead.
func (f *fleet) elected(i int, term uint64) {
	f.count("leader found")
	f.trace("%s leads in term %d", f.daemons[i].name, term)
}

// promised is how soon a majority of healthy members has a leader.
const promised = 5 * time.Second

// watchLeaders measures for how long a healthy majority is without a leader.
func (f *fleet) watchLeaders() {
	var since time.Time // when a leader was first missed by the present majority
	var last [voters]bool
	for f.sleep(50 * time.Millisecond) {
		now, ok := f.healthy()
		if !ok || now != last || f.leads(now) {
			if !since.IsZero() && now == last && ok {
				f.mu.Lock()
				f.waits = append(f.waits, time.Since(since))
				f.mu.Unlock()
			}
			since, last = time.Time{}, now
			if ok && !f.leads(now) {
				since = time.Now()
			}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		wait := time.Since(since)
		f.mu.Lock()
		longest := wait > f.unled
		f.unled = max(f.unled, wait)
		f.mu.Unlock()
		if longest && wait > promised && wait < promised+100*time.Millisecond {
			f.trace("LATE: no leader for %v although %v of the members are healthy", wait, now)
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

// fit: the process is up, its host awake, its disk good.
func (d *daemon) fit() bool {
	d.mu.Lock()
	ails := d.proc == nil || d.sleeps != nil || d.frozen > 0 || d.full > 0
	d.mu.Unlock()
	return !ails
}

func (f *fleet) leads(among [voters]bool) bool {
	for i, m := range f.members {
		if p := m.running(); p != nil && among[i] {
			if _, leads := p.node.Leading(); leads {
				return true
			}
		}
	}
	return false
}
