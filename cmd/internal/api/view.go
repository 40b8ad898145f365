package api

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// view is what a method looks at: one State, one instant.
type view struct {
	state cluster.State
	now   cluster.Time
	stale *Stale
	who   caller
}

func (s *Server) look(who caller, stale *Stale) view {
	state, _ := s.cfg.Replica.State()
	return view{state, max(state.Now, cluster.TimeOf(s.cfg.Now())), stale, who}
}

// staleBecause says how old this replica's State is, and why nothing newer
// could be had.
func (s *Server) staleBecause(why string) *Stale {
	state, _ := s.cfg.Replica.State()
	if state.Now == 0 {
		return &Stale{0, why + "; this replica has no State yet"}
	}
	age := max(cluster.TimeOf(s.cfg.Now()).Sub(state.Now), 0)
	return &Stale{age.Round(time.Millisecond).Seconds(), why}
}

func (v view) head(kind string) Head {
	return Head{APIVersion: Version, Kind: kind, Now: timeOf(v.now), Index: v.state.Index, Stale: v.stale}
}

// listOf wraps items.
func listOf[T any](v view, kind string, items []T) *List[T] {
	return &List[T]{v.head(kind), some(items)}
}
