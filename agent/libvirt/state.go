package libvirt

import (
	golibvirt "github.com/digitalocean/go-libvirt"

	"github.com/evenkeel/evenkeel/agent"
)

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
