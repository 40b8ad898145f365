package events

import (
	"slices"
	"sync"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Capacity is how many events the ring holds: at most some 6 MB, if each had
// the longest names and sentence; a quiet fleet's of several days.
const Capacity = 4096

// ring holds the events of a stretch of the log, without holes: all after the
// entry from, up to and with the entry through.
type ring struct {
	mu      sync.Mutex
	began   bool
	from    uint64
	fromAt  cluster.Time // State.Now at from
	through uint64
	now     cluster.Time    // State.Now at through
	events  []cluster.Event // oldest first, in whole entries
	news    chan struct{}   // closed when events come
	bound   int
}

func newRing(bound int) *ring { return &ring{bound: bound, news: make(chan struct{})} }

// take adds what an applied entry did. Where entries are missing, because the
// replica took another's snapshot, what is older is given up.
func (r *ring) take(a consensus.Applied) {
	told := cluster.Events(a.Prior, a.State, a.Command)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began || a.Before.Index != r.through {
		r.began, r.from, r.fromAt, r.events = true, a.Before.Index, a.Prior.Now, nil
	}
	r.through, r.now = a.Meta.Index, a.State.Now
	if len(told) == 0 {
		return
	}
	r.events = append(r.events, told...)
	r.trim()
	close(r.news)
	r.news = make(chan struct{})
}

// trim forgets the oldest entries' events beyond the bound.
func (r *ring) trim() {
	if len(r.events) <= r.bound {
		return
	}
	last := r.events[len(r.events)-r.bound-1]
	cut := afterIndex(r.events, last.Index)
	r.from, r.fromAt = last.Index, last.At
	r.events = slices.Clone(r.events[cut:])
}

// afterIndex is where the events of entries after an index begin.
func afterIndex(list []cluster.Event, index uint64) int {
	cut, _ := slices.BinarySearchFunc(list, index, func(e cluster.Event, index uint64) int {
		if e.Index <= index {
			return -1
		}
		return 1
	})
	return cut
}

// after returns events of entries after an index; ok is false if the ring
// begins later.
func (r *ring) after(index uint64, limit int) (p Page, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p = Page{After: index, Through: max(index, r.through)}
	if !r.began || index < r.from {
		return p, false
	}
	list := r.events[afterIndex(r.events, index):]
	if len(list) > limit {
		list = whole(list, limit)
		p.Through, p.More = list[len(list)-1].Index, true
	}
	p.Events = slices.Clone(list)
	return p, true
}

// whole is the first events up to a limit, and the rest of the last one's entry.
func whole(list []cluster.Event, limit int) []cluster.Event {
	return list[:afterIndex(list, list[limit-1].Index)]
}

// since is the position before the events from an instant on; ok is false if
// the ring begins later.
func (r *ring) since(t cluster.Time) (index uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.At >= t {
			return max(e.Index-1, r.from), r.fromAt < t
		}
	}
	return r.through, r.began && r.fromAt < t
}

// last is the position before the newest n events.
func (r *ring) last(n int) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case n == 0:
		return r.through
	case n >= len(r.events):
		return r.from
	}
	return max(r.events[len(r.events)-n].Index-1, r.from)
}

func (r *ring) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

// span is what the ring covers.
func (r *ring) span() (from, through uint64, fromAt cluster.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.from, r.through, r.fromAt
}
