package cluster

import (
	"fmt"
	"time"
)

// JobOf says whose migration job it is of which a VM's inventory tells. The
// inventory is up to a beat old, so the job of a move of ours is still in it
// for a moment after that move has ended.
func (s State) JobOf(vm VM) string {
	for _, m := range s.moves.backward() {
		if s.Now.Sub(m.OrderedAt) > 24*time.Hour {
			break
		}
		if m.VM == vm.UUID && m.EndedAt != 0 && s.Now.Sub(m.EndedAt) <= MaxSilence {
			return fmt.Sprintf("%s has just ended, the next inventory of %s's host is awaited (seconds)", m.ID, vm.Name)
		}
	}
	return fmt.Sprintf("%s has a migration job that is not ours", vm.Name)
}
