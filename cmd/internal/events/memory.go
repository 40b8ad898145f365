package events

import (
	"context"
	"iter"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Journal is what is needed of a member's journal.
type Journal interface {
	Span() journal.Span
	StateAt(ctx context.Context, index uint64) (cluster.State, error)
	Entries(ctx context.Context, r journal.Range) iter.Seq2[journal.Entry, error]
}

// Memory is what a member remembers of what happened.
type Memory struct {
	ring    *ring
	journal Journal // nil: none is kept
}

// Page is events in order, oldest first, in whole entries.
type Page struct {
	After   uint64 // the position that was asked for
	Through uint64 // the position after this page, never less
	Events  []cluster.Event
	More    bool // there is more after this page already
	// Missing says that the member does not remember all in between.
	Missing bool
}

// New makes a memory; j may be nil.
func New(j Journal) *Memory { return &Memory{newRing(Capacity), j} }

// Take remembers what an applied entry did. It is called for each entry, in
// order, on the goroutine that applies: it costs a look at each host and
// never waits for anybody.
func (m *Memory) Take(a consensus.Applied) { m.ring.take(a) }

// Changed is closed when events come. Take it before looking.
func (m *Memory) Changed() <-chan struct{} { return m.ring.changed() }

// Through is the position of the newest entry that was applied.
func (m *Memory) Through() uint64 {
	_, through, _ := m.ring.span()
	return through
}

// After returns the events of entries after an index: about as many as the
// limit says, at least 1, from the ring, or what is older than it from the journal.
func (m *Memory) After(ctx context.Context, index uint64, limit int) (Page, error) {
	if p, ok := m.ring.after(index, limit); ok {
		return p, nil
	}
	from, through, _ := m.ring.span()
	if from == 0 && through == 0 {
		return Page{After: index, Through: index}, nil // nothing was applied yet
	}
	if m.journal != nil {
		p, err := m.past(ctx, index, from, limit)
		if err != nil || p.Through > index {
			return p, err
		}
	}
	p, _ := m.ring.after(from, limit)
	p.After, p.Missing = index, true
	return p, nil
}

// Since is the position before the events from an instant on. complete says
// that the member remembers all of them.
func (m *Memory) Since(ctx context.Context, t cluster.Time) (index uint64, complete bool) {
	index, complete = m.ring.since(t)
	if complete || m.journal == nil {
		return index, complete
	}
	from, _, _ := m.ring.span()
	for e, err := range m.journal.Entries(ctx, journal.Range{Since: t}) {
		if err == nil && e.Before < from {
			return e.Before, m.journal.Span().First.At <= t
		}
		if err == nil {
			break
		}
	}
	return index, false
}

// Last is the position before the newest n events of the ring.
func (m *Memory) Last(n int) uint64 { return m.ring.last(n) }

// Begins says since when the ring remembers; the journal may reach further back.
func (m *Memory) Begins() cluster.Time {
	_, _, at := m.ring.span()
	return at
}
