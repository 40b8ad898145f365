package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ErrGone says that the journal does not hold what was asked for, or not any
// more.
var ErrGone = errors.New("the journal does not hold it")

// Range is a part of the journal; zero bounds are open.
type Range struct {
	From, To     uint64       // indexes, both inclusive
	Since, Until cluster.Time // both inclusive
}

func (r Range) to() uint64 {
	if r.To == 0 {
		return math.MaxUint64
	}
	return r.To
}

func (r Range) holds(m Mark) bool {
	return m.Index >= r.From && m.Index <= r.to() && m.At >= r.Since && (r.Until == 0 || m.At <= r.Until)
}

// touches says whether a segment may hold something of the range. Leaders'
// clocks differ by seconds, so times are taken with some slack.
func (r Range) touches(s segment) bool {
	const slack = cluster.Time(60e9)
	return s.usable && s.last.Index >= r.From && s.first.Index <= r.to() &&
		s.last.At+slack >= r.Since && (r.Until == 0 || s.first.At <= r.Until+slack)
}

// Entries yields the entries of a range, oldest first. In place of what is
// missing in between it yields a *Gap as the error, and goes on after it; any
// other error is the last thing that it yields.
func (j *Journal) Entries(ctx context.Context, r Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		segments := j.now()
		var previous segment
		for i, s := range segments {
			if !r.touches(s) {
				continue
			}
			if previous.usable && s.first.Index > previous.last.Index {
				if g := gapBetween(previous, s); !yield(Entry{}, &g) {
					return
				}
			}
			previous = s
			if !yieldEntries(ctx, s, r, superseded(segments[i+1:]), yield) {
				return
			}
		}
	}
}

// superseded is the mark from which later segments are right: where one begins
// in the past of another, that past was given up.
func superseded(later []segment) Mark {
	limit := Mark{Index: math.MaxUint64}
	for _, s := range later {
		if s.usable && s.first.Index <= limit.Index {
			limit = s.first
		}
	}
	return limit
}

// before says whether an entry is still right where another segment begins.
func (m Mark) before(limit Mark) bool {
	return m.Index < limit.Index || m.Index == limit.Index && m.Term == limit.Term
}

func yieldEntries(ctx context.Context, s segment, r Range, limit Mark, yield func(Entry, error) bool) bool {
	more := true
	err := s.read(ctx, func(rec record) error {
		m := rec.mark()
		if rec.kind != kindEntry || !r.holds(m) || !m.before(limit) {
			return nil
		}
		data, err := rec.open()
		if err == nil && !yield(Entry{Mark: m, Before: rec.before, Refused: rec.flags&flagRefused != 0, Data: data}, nil) {
			more, err = false, errEnough
		}
		return err
	})
	switch {
	case !more:
		return false
	case ctx.Err() != nil:
		yield(Entry{}, ctx.Err())
		return false
	case err != nil:
		return yield(Entry{}, &Gap{s.first, s.last, fmt.Sprintf("%s: %v", s.path, err)})
	}
	return true
}

var errEnough = errors.New("enough")

// read walks through a segment as far as it was written when it was listed.
func (s segment) read(ctx context.Context, each func(record) error) error {
	f, err := os.Open(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: it was deleted meanwhile", ErrGone)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = walk(f, s.size, func(r record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return each(r)
	})
	return err
}

// StateAt computes the State after the last entry up to an index: from the
// checkpoint before it, by State.Apply. It is ErrGone if the journal begins
// later, ends earlier or has a gap there.
func (j *Journal) StateAt(ctx context.Context, index uint64) (cluster.State, error) {
	segments := j.now()
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		if !s.usable || s.first.Index > index {
			continue
		}
		if s.last.Index < index {
			return cluster.State{}, j.lacks(index)
		}
		state, err := s.stateAt(ctx, index)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: state at %d: %s: %w", ErrGone, index, s.path, err)
		}
		return state, err
	}
	return cluster.State{}, j.lacks(index)
}

func (j *Journal) lacks(index uint64) error {
	span := j.Span()
	if span.Last.Index == 0 {
		return fmt.Errorf("%w: state at %d; it is empty", ErrGone, index)
	}
	return fmt.Errorf("%w: state at %d; it remembers %d to %d with %d gaps", ErrGone, index, span.First.Index, span.Last.Index, len(span.Gaps))
}

func (s segment) stateAt(ctx context.Context, index uint64) (state cluster.State, err error) {
	err = s.read(ctx, func(r record) error {
		switch {
		case r.kind == kindCheckpoint:
			state, err = r.state()
			return err
		case r.kind != kindEntry || r.index <= state.Index:
			return nil
		case r.index > index:
			return errEnough
		}
		state, err = r.applyTo(state)
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return state, err
}

func (r record) state() (cluster.State, error) {
	body, err := r.open()
	if err != nil {
		return cluster.State{}, err
	}
	in := bytes.NewReader(body)
	state, err := cluster.DecodeState(in)
	if err == nil && state.Index != r.index {
		err = fmt.Errorf("the checkpoint of entry %d holds the State of %d", r.index, state.Index)
	}
	return state, err
}

func (r record) applyTo(s cluster.State) (cluster.State, error) {
	if r.before != s.Index {
		return s, fmt.Errorf("entry %d follows on %d, the State is that of %d", r.index, r.before, s.Index)
	}
	body, err := r.open()
	if err != nil {
		return s, err
	}
	c, err := cluster.DecodeCommand(body)
	if err != nil {
		return s, err
	}
	next, err := s.Apply(cluster.Meta{Index: r.index, Term: r.term, Entry: body}, c)
	if refusal := cluster.RefusalOf(err); err != nil && refusal == nil || (refusal != nil) != (r.flags&flagRefused != 0) {
		return s, fmt.Errorf("entry %d: it was refused: %t; now: %w", r.index, r.flags&flagRefused != 0, err)
	}
	return next, nil
}

// States yields the checkpoints of the segments that touch a range, newest
// first, and each with how the States between it and the next one can be had:
// replay hands each State of the segment to a function, in order, until that
// returns false.
func (j *Journal) States(ctx context.Context, r Range) iter.Seq2[Checkpoint, error] {
	return func(yield func(Checkpoint, error) bool) {
		segments := j.now()
		for i := len(segments) - 1; i >= 0; i-- {
			s := segments[i]
			if !r.touches(s) {
				continue
			}
			state, err := s.stateAt(ctx, s.first.Index)
			if err != nil {
				err = &Gap{s.first, s.last, fmt.Sprintf("%s: %v", s.path, err)}
			}
			if !yield(Checkpoint{state, s}, err) || ctx.Err() != nil {
				return
			}
		}
	}
}

// Checkpoint is a State that stands at the beginning of a segment.
type Checkpoint struct {
	State   cluster.State
	segment segment
}

// Replay hands on each State that the segment's entries lead to, until each
// returns false.
func (c Checkpoint) Replay(ctx context.Context, each func(cluster.State) bool) error {
	state := c.State
	err := c.segment.read(ctx, func(r record) (err error) {
		if r.kind != kindEntry || r.index <= state.Index {
			return nil
		}
		if state, err = r.applyTo(state); err == nil && !each(state) {
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
