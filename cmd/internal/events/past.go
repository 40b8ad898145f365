package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxEntries bounds the entries that are read for one page: a quiet hour of
// load snapshots.
const maxEntries = 4096

// retelling makes the events of entries in the journal.
type retelling struct {
	page  Page
	state cluster.State
	known bool // state is the one before the next entry
	limit int
	read  int
}

// past tells the events after an index, up to and with another, from the
// journal. What it lacks is skipped and said so.
func (m *Memory) past(ctx context.Context, after, until uint64, limit int) (Page, error) {
	r := retelling{page: Page{After: after, Through: after, More: true}, limit: limit}
	var err error
	if r.state, err = m.journal.StateAt(ctx, after); err == nil {
		r.known = true
	} else if !errors.Is(err, journal.ErrGone) {
		return r.page, err
	}
	for e, err := range m.journal.Entries(ctx, journal.Range{From: after + 1, To: until}) {
		if ctx.Err() != nil {
			return r.page, fmt.Errorf("the journal is long: ask for less, or give it more time: %w", ctx.Err())
		}
		if err != nil { // a gap
			r.known = false
			continue
		}
		if err := r.take(ctx, m.journal, e); err != nil {
			return r.page, err
		}
		if r.read++; len(r.page.Events) >= r.limit || r.read >= maxEntries {
			return r.page, nil
		}
	}
	if r.page.Through < until && r.page.Through > after { // the ring goes on where the journal has not got to yet
		r.page.Through, r.page.Missing = until, true
	}
	return r.page, nil
}

// take tells of the next entry. The first one after a gap only leads to the
// State that the following ones need.
func (r *retelling) take(ctx context.Context, j Journal, e journal.Entry) error {
	if !r.known || r.state.Index != e.Before {
		state, err := j.StateAt(ctx, e.Index)
		if err != nil && !errors.Is(err, journal.ErrGone) {
			return err
		}
		r.page.Missing, r.page.Through = true, e.Index
		r.state, r.known = state, err == nil
		return nil
	}
	c, err := cluster.DecodeCommand(e.Data)
	if err != nil {
		return fmt.Errorf("entry %d of the journal: %w", e.Index, err)
	}
	next, err := r.state.Apply(cluster.Meta{Index: e.Index, Term: e.Term}, c)
	if err != nil && cluster.RefusalOf(err) == nil {
		return fmt.Errorf("entry %d of the journal: %w", e.Index, err)
	}
	r.page.Events = append(r.page.Events, cluster.Events(r.state, next, c)...)
	r.page.Through, r.state = e.Index, next
	return nil
}
