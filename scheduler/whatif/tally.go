package whatif

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// tally keeps the books of the record or of a lane.
type tally struct {
	last        map[string]cluster.Time // newest beat by host
	overloads   map[string]*overload    // that have not ended, by host
	figures     Figures
	evaluations int
	moves       []Move
	delays      []time.Duration
}

// overload is a time in which a host suffers.
type overload struct {
	since    cluster.Time
	answered bool
}

func newTally() *tally {
	return &tally{last: map[string]cluster.Time{}, overloads: map[string]*overload{}}
}

// restart forgets what was going on when the record broke off.
func (t *tally) restart() {
	t.last, t.overloads = map[string]cluster.Time{}, map[string]*overload{}
}

// beat books the time since the host's beat before. Both sides of a comparison
// are judged by the thresholds of then.
func (t *tally) beat(host string, b cluster.Beat, then cluster.Settings, modelled bool) {
	dt := time.Duration(0)
	if last, ok := t.last[host]; ok {
		dt = min(max(b.At.Sub(last), 0), cluster.MaxSilence)
	}
	t.last[host] = b.At
	if b.Load.Source == cluster.SourceNone {
		return
	}
	for _, v := range b.Load.VMs {
		t.figures.Steal += stolen(v.Steal, dt)
		t.figures.VMTime += span(dt)
		if modelled {
			t.figures.Modelled += span(dt)
		}
	}
	t.judge(host, b, then, dt)
}

func (t *tally) judge(host string, b cluster.Beat, then cluster.Settings, dt time.Duration) {
	pain := b.Load.Pain()
	o := t.overloads[host]
	switch {
	case pain > then.Enter && o == nil:
		t.overloads[host] = &overload{since: b.At}
		t.figures.Overloads++
	case pain < then.Exit && o != nil:
		delete(t.overloads, host)
	}
	if pain > then.Enter {
		t.figures.Overloaded += span(dt)
	}
}

// answer notes that a decision wants a VM off a host.
func (t *tally) answer(host string, now cluster.Time) {
	o := t.overloads[host]
	if o == nil || o.answered {
		return
	}
	o.answered = true
	t.delays = append(t.delays, now.Sub(o.since))
}

func (t *tally) decide(r cluster.Result) {
	switch r {
	case cluster.ResultMoved:
		t.figures.Moved++
	case cluster.ResultRecommended:
		t.figures.Recommended++
	default:
		t.figures.Nothing++
	}
}

// keep keeps what a State says of a move.
func (t *tally) keep(s cluster.State, id string) {
	m, ok := s.Move(id)
	if !ok {
		return // so many came after it that the State has forgotten it
	}
	t.moves = append(t.moves, Move{
		ID: m.ID, VM: m.VM, VMName: m.VMName, Source: s.HostName(m.Source), Target: s.HostName(m.Target), At: m.OrderedAt, State: m.State,
		Reason: m.Reason, source: m.Source, target: m.Target,
	})
}

// column is the books as they are now.
func (t *tally) column(name string, s cluster.State) Column {
	c := Column{Name: name, Mode: s.Mode, Settings: s.Settings, Figures: t.figures, Moves: slices.Clone(t.moves)}
	c.Evaluations = t.evaluations
	delays := slices.Sorted(slices.Values(t.delays))
	if c.Answered = len(delays); c.Answered > 0 {
		c.DelayMedian, c.DelayWorst = delays[(len(delays)-1)/2], delays[len(delays)-1]
	}
	return c
}

// Span is time in microseconds, summed over VMs or hosts: a fleet of 30,000 VMs
// fills a time.Duration within four days.
type Span int64

func span(d time.Duration) Span { return Span(d / time.Microsecond) }

// Seconds returns the span in seconds.
func (s Span) Seconds() float64 { return float64(s) / 1e6 }

// stolen is the part of an interval that a vCPU waited.
func stolen(r cluster.Ratio, dt time.Duration) Span {
	return Span(int64(r) * int64(dt/time.Microsecond) / int64(cluster.Whole))
}
