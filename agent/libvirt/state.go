package libvirt

import (
	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

// resumable says whether a VM stands where a migration left it, with all of its
// memory. One that stands in post-copy has run elsewhere since: its memory here
// is old, and it must not run on from it.
func resumable(state, reason int32) bool {
	return golibvirt.DomainState(state) == golibvirt.DomainPaused && golibvirt.DomainPausedReason(reason) == golibvirt.DomainPausedMigration
}

// runState translates libvirt's state and says whether a migration paused
// the VM (incoming, switching over, or post-copy).
func runState(state, reason int32) (agent.RunState, bool) {
	switch golibvirt.DomainState(state) {
	case golibvirt.DomainRunning, golibvirt.DomainBlocked:
		return agent.RunStateRunning, false
	case golibvirt.DomainPaused:
		switch golibvirt.DomainPausedReason(reason) {
		case golibvirt.DomainPausedMigration, golibvirt.DomainPausedPostcopy, golibvirt.DomainPausedPostcopyFailed:
			return agent.RunStatePaused, true
		}
		return agent.RunStatePaused, false
	case golibvirt.DomainShutoff:
		return agent.RunStateAbsent, false
	}
	return agent.RunStateOther, false
}
