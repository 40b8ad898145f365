package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// gappy is a journal in memory; entries that are nil are missing.
type gappy struct {
	entries []*journal.Entry // by index, from 1 on
	states  map[uint64]cluster.State
}

func (g gappy) Span() journal.Span {
	return journal.Span{First: journal.Mark{Index: 1, At: 1}, Last: journal.Mark{Index: uint64(len(g.entries)), At: 2}}
}

func (g gappy) StateAt(_ context.Context, index uint64) (cluster.State, error) {
	s, ok := g.states[index]
	if !ok {
		return s, fmt.Errorf("%w: state at %d", journal.ErrGone, index)
	}
	return s, nil
}

func (g gappy) Entries(_ context.Context, r journal.Range) iter.Seq2[journal.Entry, error] {
	return func(yield func(journal.Entry, error) bool) {
		hole := false
		for i, e := range g.entries {
			if uint64(i+1) < r.From {
				continue
			}
			if e == nil {
				hole = true
				continue
			}
			// Damage is told of twice.
			if hole && (!yield(journal.Entry{}, &journal.Gap{Why: "rust"}) || !yield(journal.Entry{}, &journal.Gap{Why: "holes"})) {
				return
			}
			hole = false
			if !yield(*e, nil) {
				return
			}
		}
		if hole {
			yield(journal.Entry{}, &journal.Gap{Why: "rust"})
		}
	}
}

func (g gappy) States(context.Context, journal.Range) iter.Seq2[journal.Checkpoint, error] {
	return nil
}

// gappyOf makes a journal of so many entries.
func gappyOf(t *testing.T, n int) gappy {
	t.Helper()
	g := gappy{states: map[uint64]cluster.State{}}
	s := cluster.New("c")
	for i := range n {
		c := cluster.Command{Level: 1, At: cluster.TimeOf(time.Unix(int64(1e9+i), 0)), Body: cluster.Resume{}}
		data, err := cluster.EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		g.states[s.Index] = s
		next, err := s.Apply(cluster.Meta{Index: s.Index + 1, Term: 1}, c)
		if err != nil {
			t.Fatal(err)
		}
		g.entries = append(g.entries, &journal.Entry{Mark: journal.Mark{Index: next.Index, Term: 1, At: c.At}, Before: s.Index, Data: data})
		s = next
	}
	return g
}

// sink tells what was sent, in short.
type sink struct {
	said string
	last uint64
	more bool
}

func (s *sink) Send(p *RecordPart) error {
	if s.more {
		return errors.New("something follows on the last piece")
	}
	if p.Gap != nil {
		s.said += "gap(" + p.Gap.Why + ") "
	}
	if p.State != nil {
		s.said += "state "
	}
	for _, e := range p.Entries {
		s.said += fmt.Sprintf("%d ", e.Index)
		s.last = e.Index
	}
	s.more = p.More
	return nil
}

func TestRecordPieces(t *testing.T) {
	for _, c := range []struct {
		name  string
		after uint64
		spoil func(*gappy)
		want  string
	}{
		{"whole", 0, func(*gappy) {}, "state 1 2 3 4 5 6 "},
		{"goes on", 4, func(*gappy) {}, "5 6 "},
		{"at the end", 6, func(*gappy) {}, ""},
		{"a gap", 0, func(g *gappy) { g.entries[2], g.entries[3] = nil, nil }, "state 1 2 gap(rust) state 5 6 "},
		{"a gap whose end only is known", 0, func(g *gappy) { g.entries[2] = nil; delete(g.states, 3) }, "state 1 2 gap(rust) state 5 6 "},
		{"a gap and nothing known behind it", 0, func(g *gappy) {
			g.entries[2] = nil
			for i := uint64(3); i < 7; i++ {
				delete(g.states, i)
			}
		}, "state 1 2 gap(rust) "},
		{"it breaks off", 0, func(g *gappy) { g.entries[5] = nil }, "state 1 2 3 4 5 gap(rust) "},
		{"deleted between two answers", 2, func(g *gappy) { g.entries[2] = nil }, "gap(rust) state 4 5 6 "},
	} {
		g, out := gappyOf(t, 6), &sink{}
		c.spoil(&g)
		w := recordWriter{past: g, out: out, end: time.Now().Add(time.Hour), last: c.after}
		if err := w.send(t.Context(), "hv1", 0); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if out.said != c.want {
			t.Errorf("%s: %q, want %q", c.name, out.said, c.want)
		}
	}
}

// An answer whose time is over gives at least one entry and says that there is
// more; asked on, all comes.
func TestRecordInManyAnswers(t *testing.T) {
	g := gappyOf(t, 6)
	said, last := "", uint64(0)
	for range 10 {
		out := &sink{}
		w := recordWriter{past: g, out: out, end: time.Now().Add(-time.Hour), last: last}
		if err := w.send(t.Context(), "hv1", 0); err != nil {
			t.Fatal(err)
		}
		if said, last = said+out.said, max(last, out.last); !out.more {
			break
		}
	}
	if said != "state 1 2 3 4 5 6 " {
		t.Errorf("%q", said)
	}
}
