package agent

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// evidence turns a sighting into evidence; ok is false while a job runs or
// the state is between two, when nothing seen proves anything.
func (s Sighting) evidence() (e cluster.Evidence, ok bool) {
	e.Process = s.Process
	switch s.State {
	case RunStateRunning:
		e.Presence = cluster.PresenceRunning
	case RunStatePaused:
		e.Presence = cluster.PresencePaused
	case RunStateAbsent:
		e.Presence = cluster.PresenceAbsent
	default:
		e.Presence = cluster.PresenceOther
	}
	conclusive := e.Presence == cluster.PresenceRunning && s.Process || e.Presence == cluster.PresenceAbsent && !s.Process
	return e, conclusive && !s.JobRunning
}
