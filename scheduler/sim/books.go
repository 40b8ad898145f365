package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Figures are what policies are compared by.
type Figures struct {
	// StealPerVMHour is how many seconds a VM's vCPUs waited in an hour, together,
	// on average of all VMs.
	StealPerVMHour float64
	// P99 is the steal that a VM had in 99 of 100 intervals at most.
	P99 cluster.Ratio
	// Regretted counts moves at whose end the source would not have suffered any
	// more, and no other VM had left it meanwhile: the overload was over by
	// itself, or there was none.
	Regretted int
	// An overload begins when a host suffers more than the enter threshold and
	// ends below the exit threshold. Relief is how long the median one lasted,
	// ReliefP95 19 of 20 at most, Overloaded all hosts' together.
	Overloads         int
	Relief, ReliefP95 time.Duration
	Overloaded        time.Duration
	// Reserve is the share of time in which the VMs of any one host would have
	// found room on the others by memory, the largest first.
	Reserve cluster.Ratio
	Series  []Point
}

// Point is an interval of a run.
type Point struct {
	At    time.Duration // its end
	Steal cluster.Ratio // of all vCPUs
	Worst cluster.Ratio // of the VM that waited most
	Moves int           // that began in it
}

// books keep a run's figures, from the work that was really done.
type books struct {
	every   time.Duration // an interval
	began   []counters    // of each guest, when the interval did
	uses    []float64     // CPUs, of each guest in the last interval
	steals  [1001]int     // intervals of VMs by steal, in thousandths
	moves   int           // when the interval began
	since   map[*machine]time.Duration
	leftAt  map[*machine]time.Duration // when the last VM left
	reliefs []time.Duration
	kept    time.Duration // with a reserve
	checked time.Duration // when the reserve was looked at last
	safe    bool
}

// newBooks chooses an interval: five minutes, less for short runs.
func newBooks(s Scenario) books {
	every := sampled
	for _, shorter := range []time.Duration{time.Minute, 10 * time.Second, time.Second} {
		if s.For < 12*every {
			every = shorter
		}
	}
	return books{every: every, since: map[*machine]time.Duration{}, leftAt: map[*machine]time.Duration{}}
}

// use is how much CPU a guest used or waited for in the last interval.
func (b *books) use(g *guest) float64 {
	if int(g.slot) >= len(b.uses) {
		return 0
	}
	return b.uses[g.slot]
}

// open begins the books.
func (r *recorder) open(w *world) {
	r.began, r.uses = make([]counters, len(w.guests)), make([]float64, len(w.guests))
	r.look(w)
}

// tick keeps the books.
func (r *recorder) tick(w *world) {
	if w.now%max(w.grain, time.Second) != 0 {
		return
	}
	for _, m := range w.machines {
		begun, suffers := r.since[m]
		switch {
		case !suffers && m.pain > w.state.Settings.Enter:
			r.since[m] = w.now
		case suffers && m.pain < w.state.Settings.Exit:
			r.reliefs = append(r.reliefs, w.now-begun)
			delete(r.since, m)
		}
	}
	if w.now%r.every == 0 {
		r.interval(w)
	}
}

// interval closes an interval.
func (r *recorder) interval(w *world) {
	p := Point{At: w.now, Moves: len(r.out.Moves) - r.moves}
	var waited, there time.Duration
	for i, g := range w.guests {
		was := r.began[i]
		run, wait := g.run-was.run, g.wait-was.wait
		steal := ratioOf(wait, r.every)
		r.steals[int64(steal)*1000/int64(cluster.Whole)]++
		p.Worst = max(p.Worst, steal)
		waited += wait * time.Duration(g.VCPUs)
		there += r.every * time.Duration(g.VCPUs)
		wants := cluster.Demand(run, wait, r.every-run-wait)
		r.uses[i] = cpus(wants, r.every, g.VCPUs).CPUs()
		r.began[i] = g.counters
	}
	p.Steal = ratioOf(waited, there)
	r.moves = len(r.out.Moves)
	r.out.Series = append(r.out.Series, p)
}

// switched notes that a VM has moved.
func (r *recorder) switched(w *world, m *migration) {
	left, ok := r.leftAt[m.from]
	if alone := !ok || left < m.began; alone && m.from.pain < w.state.Settings.Exit {
		r.out.Regretted++
	}
	r.leftAt[m.from] = w.now
	r.look(w)
}

// look looks whether there is a failover reserve.
func (r *recorder) look(w *world) {
	if r.safe {
		r.kept += w.now - r.checked
	}
	r.checked = w.now
	r.safe = !slices.ContainsFunc(w.machines, func(m *machine) bool { return !w.bears(m) })
}

// bears says whether the VMs of a machine would find room by memory on the
// others, the largest first, each on the first that has room.
func (w *world) bears(lost *machine) bool {
	free := make([]cluster.Bytes, len(w.machines))
	for i, m := range w.machines {
		free[i] = w.state.Settings.Room(m.Memory)
		for _, g := range m.guests {
			free[i] -= g.Memory + cluster.VMOverhead
		}
	}
	orphans := slices.Clone(lost.guests)
	slices.SortFunc(orphans, func(a, b *guest) int { return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.slot, b.slot)) })
	for _, g := range orphans {
		need, found := g.Memory+cluster.VMOverhead, false
		for i, m := range w.machines {
			if m != lost && free[i] >= need {
				free[i] -= need
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// close draws the sums.
func (r *recorder) close(w *world, o *Outcome) {
	var waited time.Duration
	for _, g := range w.guests {
		waited += g.wait * time.Duration(g.VCPUs)
	}
	if n := len(w.guests); n > 0 {
		o.StealPerVMHour = waited.Seconds() / w.now.Hours() / float64(n)
	}
	o.P99 = r.percentile(99)
	for _, m := range w.machines {
		if begun, suffers := r.since[m]; suffers {
			r.reliefs = append(r.reliefs, w.now-begun)
		}
	}
	slices.Sort(r.reliefs)
	if o.Overloads = len(r.reliefs); o.Overloads > 0 {
		o.Relief, o.ReliefP95 = r.reliefs[(o.Overloads-1)/2], r.reliefs[(o.Overloads*19-1)/20]
	}
	for _, d := range r.reliefs {
		o.Overloaded += d
	}
	r.look(w)
	o.Reserve = ratioOf(r.kept, w.now)
}

func (b *books) percentile(p int) cluster.Ratio {
	all, seen := 0, 0
	for _, n := range b.steals {
		all += n
	}
	for i, n := range b.steals {
		if seen += n; seen*100 >= all*p {
			return cluster.Ratio(int64(i) * int64(cluster.Whole) / 1000)
		}
	}
	return 0
}
