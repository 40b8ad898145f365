package whatif

import (
	"fmt"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Config says what is to be played.
type Config struct {
	From  cluster.Time // what comes before it only leads up to it
	Lanes []Lane       // played side by side
}

// Lane is one way to have decided.
type Lane struct {
	Name string
	// Change turns the settings of then into those of the lane; nil keeps them.
	Change func(cluster.Settings) (cluster.Settings, error)
	Mode   cluster.Mode // "" as it was
}

// Entry is an entry of the record.
type Entry struct {
	Meta    cluster.Meta
	Before  uint64 // index of the State before it
	Refused bool   // it changed nothing but time
	Command cluster.Command
}

// Run is a past that is being played. Make it with [New].
type Run struct {
	cfg    Config
	rec    cluster.State // as it was
	past   *past
	record *tally
	moves  []string // ids of the recorded moves since the last checkpoint
	lanes  []*lane
	known  bool // rec is a State of the record
	played bool // the lanes have begun
	out    Report
}

// New makes a Run.
func New(cfg Config) (*Run, error) {
	if len(cfg.Lanes) == 0 {
		return nil, fmt.Errorf("play the past: no lane to play it in")
	}
	r := &Run{cfg: cfg, record: newTally()}
	for _, l := range cfg.Lanes {
		r.lanes = append(r.lanes, &lane{Lane: l, tally: newTally()})
	}
	return r, nil
}

// Begin takes a State of the record: the one before the first entry, or the
// next that is known after a gap. After a gap every lane begins again from what
// was recorded, for what a lane would have done in a gap nobody knows.
func (r *Run) Begin(s cluster.State) error {
	r.settle()
	r.rec, r.known = s, true
	if r.played {
		return r.play()
	}
	return nil
}

// play lets the lanes begin at the State that the record is at.
func (r *Run) play() error {
	if !r.played {
		r.played, r.out.From = true, r.rec.Now
	}
	r.past = recall(r.rec)
	r.record.restart()
	for _, l := range r.lanes {
		if err := l.begin(r.rec); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	return nil
}

// Entry takes the next entry. An error says that the record cannot be what it
// claims to be, or that a lane's settings do not fit it.
func (r *Run) Entry(e Entry) error {
	if !r.known || e.Before != r.rec.Index {
		return fmt.Errorf("entry %d of the record follows on %d, the State is that of %d", e.Meta.Index, e.Before, r.rec.Index)
	}
	before := r.rec
	next, err := before.Apply(e.Meta, e.Command)
	refusal := cluster.RefusalOf(err)
	if err != nil && refusal == nil {
		return fmt.Errorf("entry %d of the record: %w", e.Meta.Index, err)
	}
	if (refusal != nil) != e.Refused {
		return fmt.Errorf("entry %d of the record: it was refused then: %t, now: %t; the record is damaged, or of another version of evenkeel", e.Meta.Index, e.Refused, refusal != nil)
	}
	r.rec = next
	if !r.played {
		if next.Now < r.cfg.From {
			return nil
		}
		return r.play()
	}
	r.out.Entries++
	return r.follow(before, e)
}

// follow lets the record and the lanes take an entry.
func (r *Run) follow(before cluster.State, e Entry) error {
	var beats []beat
	if s, ok := e.Command.Body.(cluster.Snapshots); ok {
		beats = beatsOf(before, r.rec, s.Batch)
		r.out.Model.take(beats)
	}
	changes := r.past.take(r.rec, beats)
	for _, b := range beats {
		r.record.beat(b.id, b.last, r.rec.Settings, false)
	}
	if d, ok := e.Command.Body.(cluster.Decide); ok && !e.Refused {
		r.decided(before, d)
	}
	for _, l := range r.lanes {
		if err := l.entry(r, e, beats, changes); err != nil {
			return fmt.Errorf("%s: entry %d: %w", l.Name, e.Meta.Index, err)
		}
	}
	return nil
}

// decided notes a decision of the record. What operators decide is the same in
// every column, and counts in none.
func (r *Run) decided(before cluster.State, d cluster.Decide) {
	if d.Decision.Trigger == cluster.TriggerOperator {
		return
	}
	for _, c := range d.Decision.Proposed {
		r.record.answer(c.Source, r.rec.Now)
	}
	if r.rec.LastDecision > before.LastDecision {
		r.record.decide(d.Decision.Result)
	}
	for _, o := range d.Orders {
		r.record.answer(o.Source, r.rec.Now)
		r.moves = append(r.moves, o.ID)
	}
}

// settle keeps what became of the moves so far, before their State is left.
func (r *Run) settle() {
	for _, id := range r.moves {
		r.record.keep(r.rec, id)
	}
	r.moves = nil
	for _, l := range r.lanes {
		l.settle()
	}
}
