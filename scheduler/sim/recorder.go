package sim

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// recorder keeps the books of a run: from the work that was really done, not
// from what agents said.
type recorder struct {
	out         Outcome
	ids         []string // of out.Moves
	first, last span
	suffering   time.Duration            // since when somebody suffers; -1: never yet
	left        map[string]time.Duration // by VM and a host that it left: when
	books
}

func newRecorder(s Scenario) *recorder {
	return &recorder{
		out:       Outcome{Scenario: s.Name, Policy: s.Settings.Policy, Reaction: -1},
		suffering: -1, left: map[string]time.Duration{}, books: newBooks(s),
	}
}

// span is what every guest had waited when it began.
type span struct {
	since time.Duration
	began []counters // as world.guests
}

func (w *world) span() span {
	s := span{since: w.now}
	for _, g := range w.guests {
		s.began = append(s.began, g.counters)
	}
	return s
}

// steal is the worst and the mean steal since the span began.
func (s span) steal(w *world) (worst, mean cluster.Ratio) {
	var waited, there time.Duration
	for i, g := range w.guests {
		wait := g.wait - s.began[i].wait
		worst = max(worst, ratioOf(wait, w.now-s.since))
		waited += wait * time.Duration(g.VCPUs)
		there += (w.now - s.since) * time.Duration(g.VCPUs)
	}
	return worst, ratioOf(waited, there)
}

// marks measures the first minute and the last one.
func (r *recorder) marks(w *world) {
	if w.now == time.Second {
		r.first = w.span()
	}
	if w.now == min(time.Second+time.Minute, w.scenario.For.Truncate(time.Second)) {
		r.out.WorstFirst, r.out.MeanFirst = r.first.steal(w)
	}
	if w.now == max(w.scenario.For.Truncate(time.Second)-time.Minute, time.Second) {
		r.last = w.span()
	}
	if r.suffering < 0 && slices.ContainsFunc(w.machines, func(m *machine) bool { return m.pain > w.state.Settings.Enter }) {
		r.suffering = w.now
	}
}

// second keeps the books once a second: also when suffering began, to the
// second, and whose outcome is unknown.
func (r *recorder) second(w *world) {
	for i, id := range r.ids {
		if m, _ := w.state.Move(id); m.State == cluster.MoveUnknown {
			r.out.Moves[i].Unknown = true
		}
	}
	defer r.marks(w)
	suffers := func(m *machine) bool {
		l := m.measure(w.now)
		return l.Pain() > w.state.Settings.Enter
	}
	if r.suffering < 0 && slices.ContainsFunc(w.machines, suffers) {
		r.suffering = w.now
	}
}

func (r *recorder) still(p scheduler.Result) { r.out.Why = string(p.Code) + ": " + p.Text }

func (r *recorder) ordered(w *world, m scheduler.Step) {
	if r.out.Reaction < 0 && r.suffering >= 0 {
		r.out.Reaction = w.now - r.suffering
	}
	from, to := w.machine(m.Source).Name, w.machine(m.Target).Name
	if at, was := r.left[m.VM+to]; was && w.now-at < 24*time.Hour {
		r.out.PingPong++
	}
	r.left[m.VM+from] = w.now
	live, _ := w.state.LiveMove(m.VM)
	r.ids = append(r.ids, live.ID)
	r.out.Moves = append(r.out.Moves, Move{At: w.now, VM: m.VMName, Source: from, Target: to, Reason: m.Reason})
}

// finish draws the sums at the end of a run.
func (r *recorder) finish(w *world) Outcome {
	o := &r.out
	o.WorstLast, o.MeanLast = r.last.steal(w)
	for i, id := range r.ids {
		o.settle(&o.Moves[i], w.state, id)
	}
	for _, m := range w.migrations {
		o.Copied += m.copied
	}
	_, mean := span{began: make([]counters, len(w.guests))}.steal(w)
	o.StealPerHour = time.Duration(int64(time.Hour) / int64(cluster.Whole) * int64(mean))
	r.close(w, o)
	for _, m := range w.machines {
		p := Placing{Host: m.Name}
		for _, g := range m.guests {
			p.VMs = append(p.VMs, g.Name)
		}
		o.Placement = append(o.Placement, p)
	}
	return *o
}

func (o *Outcome) settle(m *Move, s cluster.State, id string) {
	end, _ := s.Move(id)
	m.State, m.Downtime, m.Why = end.State, end.Downtime, end.Why
	switch {
	case end.State == cluster.MoveDone:
		o.Done++
		m.Took = end.JobEndedAt.Sub(end.StartedAt)
		o.WorstDowntime = max(o.WorstDowntime, end.Downtime)
	case !end.State.Live() || end.State == cluster.MoveUnknown:
		o.Bad++
	}
}
