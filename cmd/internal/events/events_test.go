package events

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const clusterID = "5b6a1f0e-8f4e-4a77-9d0c-1f7f3c8e2a11"

var start = cluster.TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

// replica applies entries as a voter does, and hands them on.
type replica struct {
	state cluster.State
	index uint64
	keys  []string // of all events so far
}

func newReplica() *replica { return &replica{state: cluster.New(clusterID)} }

// apply makes the next entry: n events of it, a second after the last one.
// n is 0, 1 or 2.
func (r *replica) apply(n int) consensus.Applied {
	r.index++
	var body cluster.Body = cluster.Deliver{}
	by := cluster.Actor{Kind: cluster.KindWitness, ID: "w1", Name: "w1"}
	if n > 0 {
		by = cluster.Actor{Kind: cluster.KindOperator, ID: "uid:1", Name: "ann"}
		mode := cluster.ModeOff
		if r.state.Mode == mode {
			mode = cluster.ModeAuto
		}
		body = cluster.SetMode{Mode: mode}
	}
	term := max(r.state.Term, 1)
	if n == 2 {
		term++ // a new leader, too
	}
	c := cluster.Command{Level: 1, ID: fmt.Sprint(r.index), Actor: by, At: start.Add(time.Duration(r.index) * time.Second), Body: body}
	meta := cluster.Meta{Index: r.index, Term: term}
	next, err := r.state.Apply(meta, c)
	if err != nil {
		panic(err)
	}
	data, err := cluster.EncodeCommand(c)
	if err != nil {
		panic(err)
	}
	a := consensus.Applied{Meta: meta, Before: cluster.Meta{Index: r.state.Index, Term: r.state.Term}, Data: data, Command: c, Prior: r.state, State: next}
	for _, e := range cluster.Events(r.state, next, c) {
		r.keys = append(r.keys, e.Key())
	}
	r.state = next
	return a
}

func record(j *journal.Journal, a consensus.Applied) {
	j.Record(journal.Entry{
		Mark: journal.Mark{Index: a.Meta.Index, Term: a.Meta.Term, At: a.Command.At}, Before: a.Before.Index, BeforeTerm: a.Before.Term, Data: a.Data,
	}, a.State)
}

func openJournal(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Config{Dir: dir, Cluster: clusterID, Bytes: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// follow asks page after page from a position, as a follower does.
func follow(t testing.TB, m *Memory, at uint64, limit int) (keys []string, missing bool, end uint64) {
	t.Helper()
	for {
		p, err := m.After(t.Context(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if p.Through < at || p.More && p.Through == at {
			t.Fatalf("a page after %d leads to %d, more: %v", at, p.Through, p.More)
		}
		for _, e := range p.Events {
			if e.Index <= at || e.Index > p.Through {
				t.Fatalf("event %s in a page after %d through %d", e.Key(), at, p.Through)
			}
			keys = append(keys, e.Key())
		}
		missing, at = missing || p.Missing, p.Through
		if !p.More {
			return keys, missing, at
		}
	}
}

// after are the keys of events of entries after an index.
func after(keys []string, index uint64) []string {
	i := slices.IndexFunc(keys, func(k string) bool {
		var at uint64
		_, err := fmt.Sscanf(k, "%d-", &at)
		return err == nil && at > index
	})
	if i < 0 {
		return nil
	}
	return keys[i:]
}

// TestRing holds that whoever follows the ring from anywhere hears each event
// that is remembered once, in order, and of a gap if one is not; whatever the
// pages' size, the bound, and where the replica took another's snapshot.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(2, 12).Draw(t, "bound")
		m := &Memory{ring: newRing(bound)}
		r := newReplica()
		r.apply(1) // before the daemon started
		var kept uint64
		for range rapid.IntRange(1, 60).Draw(t, "entries") {
			a := r.apply(rapid.IntRange(0, 2).Draw(t, "events"))
			if rapid.IntRange(0, 19).Draw(t, "restored") == 0 {
				continue // in the snapshot that the replica took
			}
			m.Take(a)
		}
		from, through, _ := m.ring.span()
		if through == 0 {
			return
		}
		kept = from
		if got := len(m.ring.events); got > bound {
			t.Fatalf("%d events, at most %d", got, bound)
		}
		at := rapid.Uint64Range(0, through+2).Draw(t, "from")
		keys, missing, end := followRapid(t, m, at, rapid.IntRange(1, 5).Draw(t, "page"))
		want := after(r.keys, max(at, kept))
		want = want[:len(want)-len(after(want, through))]
		if !slices.Equal(keys, want) || missing != (at < kept) || end != max(at, through) {
			t.Fatalf("from %d: %v, missing %v, to %d; want %v, %v, %d; kept after %d", at, keys, missing, end, want, at < kept, max(at, through), kept)
		}
		last := rapid.IntRange(0, bound+1).Draw(t, "last")
		newest, _, _ := followRapid(t, m, m.Last(last), 100)
		if all, _, _ := followRapid(t, m, kept, 100); len(newest) < min(last, len(all)) || len(newest) > last+1 {
			t.Fatalf("the newest %d of %d are %d", last, len(all), len(newest))
		}
	})
}

// followRapid is follow for rapid's own kind of test.
func followRapid(t *rapid.T, m *Memory, at uint64, limit int) (keys []string, missing bool, end uint64) {
	for {
		p, err := m.After(context.Background(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if p.Through < at || p.More && p.Through == at {
			t.Fatalf("a page after %d leads to %d, more: %v", at, p.Through, p.More)
		}
		for _, e := range p.Events {
			keys = append(keys, e.Key())
		}
		missing, at = missing || p.Missing, p.Through
		if !p.More {
			return keys, missing, at
		}
	}
}

// TestJournalGoesFurtherBack: a member that was restarted tells from its journal
// what its ring never held, the same events under the same keys.
func TestJournalGoesFurtherBack(t *testing.T) {
	dir, r := t.TempDir(), newReplica()
	j := openJournal(t, dir)
	for i := range 300 {
		record(j, r.apply(i%3))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, dir)
	defer j.Close()
	m := New(j)
	for i := range 30 {
		a := r.apply(i % 3)
		record(j, a)
		m.Take(a)
	}
	for _, limit := range []int{1, 7, 1000} {
		keys, missing, _ := follow(t, m, 1, limit)
		if want := after(r.keys, 1); !slices.Equal(keys, want) || missing {
			t.Fatalf("pages of %d: %d events, missing %v; want %d:\n%v\n%v", limit, len(keys), missing, len(want), keys, want)
		}
	}
	index, complete := m.Since(t.Context(), start.Add(100*time.Second))
	if index != 99 || !complete {
		t.Errorf("since entry 100: %d, complete %v", index, complete)
	}
	if index, complete := m.Since(t.Context(), start.Add(310*time.Second)); index < 305 || index > 310 || !complete {
		t.Errorf("since entry 310: %d, complete %v", index, complete)
	}
	if index, complete := m.Since(t.Context(), start.Add(-time.Hour)); index != 0 || complete {
		t.Errorf("since before all: %d, complete %v", index, complete)
	}
	if index, complete := m.Since(t.Context(), start.Add(time.Hour)); index != 330 || !complete {
		t.Errorf("since the future: %d, complete %v", index, complete)
	}
}

// TestJournalWithAGap names what is missing and goes on behind it.
func TestJournalWithAGap(t *testing.T) {
	r := newReplica()
	j := openJournal(t, t.TempDir())
	defer j.Close()
	m := New(j)
	for i := range 90 {
		a := r.apply(1)
		if i < 30 || i >= 40 { // 31 to 40 came in a snapshot
			record(j, a)
		}
		if i >= 60 {
			m.Take(a)
		}
	}
	settle(t, j, 90)
	keys, missing, _ := follow(t, m, 10, 4)
	want := slices.Concat(after(r.keys, 10)[:20], after(r.keys, 41)) // entry 41 leads back to a State
	if !slices.Equal(keys, want) || !missing {
		t.Errorf("missing %v:\n%v, want\n%v", missing, keys, want)
	}
	if keys, missing, _ := follow(t, m, 0, 100); len(keys) != len(want)+9 || !missing {
		t.Errorf("from the very beginning %d events, missing %v", len(keys), missing)
	}
}

// settle waits until the journal's writer has got to an index.
func settle(t *testing.T, j *journal.Journal, index uint64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); j.Span().Last.Index < index; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the journal does not get there")
		}
	}
}

// forgetful is a journal that does not reach back.
type forgetful struct{}

func (forgetful) Span() journal.Span { return journal.Span{} }
func (forgetful) StateAt(context.Context, uint64) (cluster.State, error) {
	return cluster.State{}, fmt.Errorf("state: %w", journal.ErrGone)
}

func (forgetful) Entries(context.Context, journal.Range) iter.Seq2[journal.Entry, error] {
	return func(func(journal.Entry, error) bool) {}
}

func TestNobodyRemembers(t *testing.T) {
	for name, m := range map[string]*Memory{"no journal": New(nil), "an empty one": New(forgetful{})} {
		r := newReplica()
		if keys, missing, end := follow(t, m, 7, 10); len(keys) != 0 || missing || end != 7 {
			t.Errorf("%s, nothing applied: %v, missing %v, to %d", name, keys, missing, end)
		}
		for range 5 {
			r.apply(1)
		}
		m.Take(r.apply(1))
		if keys, missing, end := follow(t, m, 2, 10); !slices.Equal(keys, []string{"6-0"}) || !missing || end != 6 {
			t.Errorf("%s: %v, missing %v, to %d", name, keys, missing, end)
		}
	}
}

// Who waits is told when events come, and not by entries without any.
func TestChanged(t *testing.T) {
	m, r := New(nil), newReplica()
	m.Take(r.apply(1)) // a term begins
	news := m.Changed()
	m.Take(r.apply(0))
	select {
	case <-news:
		t.Fatal("told of an entry without events")
	default:
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { <-news })
	}
	m.Take(r.apply(1))
	wg.Wait()
	if m.Through() != 3 || m.Begins() != 0 {
		t.Errorf("through %d, begins %d", m.Through(), m.Begins())
	}
}
