package metrics

import (
	"maps"
	"sync"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// ended counts migrations by how they ended. The State forgets old moves, so
// counting what it holds would let a counter fall; each move is counted once,
// when it is first seen to have ended. Which hosts it was between is for
// `evenkeel history`: pairs of hosts as labels would grow with their square.
type ended struct {
	mu      sync.Mutex
	counted map[uint64]bool // sequences that the State still holds
	total   map[cluster.MoveState]uint64
}

// count adds what has ended since the last call, and returns all.
func (e *ended) count(s cluster.State) map[cluster.MoveState]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.total == nil {
		e.total = map[cluster.MoveState]uint64{}
	}
	held := map[uint64]bool{}
	for seq, m := range s.Moves() {
		switch {
		case m.State.Live():
			continue
		case !e.counted[seq]:
			e.total[m.State]++
		}
		held[seq] = true
	}
	e.counted = held
	return maps.Clone(e.total)
}
