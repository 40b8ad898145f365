package cluster

// Where no lock keeps a second copy of a VM from its disks, a lost message at
// the end of a migration leaves the VM running on both hosts: the source's
// libvirt takes it for failed and resumes its copy. With [Settings.ArrivePaused]
// such a VM arrives paused (libvirt's VIR_MIGRATE_PAUSED), and the target
// resumes it when the source's committed word proves that the source is
// without it. Then a lost message leaves one copy that runs, or none.

// MovesUnlocked says whether VMs may move whose disks have no lock.
func (s Settings) MovesUnlocked() bool { return s.AllowUnlocked || s.ArrivePaused }

// Arrived says whether the target may resume the VM, if it stands paused
// there: the source has neither domain nor process of it, by a word that is no
// older than OrphanWord.
func (m Move) Arrived(now Time) bool { return m.arrives() && now.Sub(m.AtSource.At) <= OrphanWord }

// arrives: the job is over, the source is without the VM, and the target has
// not said that it runs.
func (m Move) arrives() bool {
	return m.ArrivesPaused && (m.State == MoveRunning || m.State == MoveUnknown) && m.JobEndedAt != 0 &&
		m.AtSource != nil && m.AtSource.gone() && (m.AtTarget == nil || !m.AtTarget.runs())
}
