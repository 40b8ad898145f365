package cluster

import "time"

// OrphanWord is how old the target's word may be on which its source resumes
// an orphan: the word is of the present, not of a day ago.
const OrphanWord = 15 * time.Second

// An orphan is a VM that a broken migration left paused at the source while
// the target has dropped what it had: nobody but the source has it, and nobody
// will resume it. The two ends settle that by their testimonies: the source
// says that it is paused, then the target says that it has neither domain nor
// process. The order matters: while its source stood paused, the target could
// still have been about to run it.

// AskedAgain says whether an end should testify again although it sees what
// it saw. Of an orphan, the target, because the source has said since that its
// VM is paused, and the source, because the target's answer has become too old
// to act upon; of a VM that arrives paused, the source, because its word has.
func (m Move) AskedAgain(member string, now Time) bool {
	switch {
	case m.arrives():
		return member == m.Source && !m.Arrived(now)
	case !m.stranded():
		return false
	}
	answered := m.AtTarget.At > m.AtSource.At
	if member == m.Target {
		return !answered
	}
	return answered && !m.Orphaned(now)
}

// Orphaned says whether the source may resume the VM, if it finds that a
// migration paused it and that no job runs.
func (m Move) Orphaned(now Time) bool {
	return m.stranded() && m.AtTarget.At > m.AtSource.At && now.Sub(m.AtTarget.At) <= OrphanWord
}

// stranded: paused at the source, nothing at the target, the job over.
func (m Move) stranded() bool {
	return (m.State == MoveRunning || m.State == MoveUnknown) && m.JobEndedAt != 0 && m.AtSource != nil && m.AtTarget != nil &&
		m.AtSource.Presence == PresencePaused && m.AtSource.Process && m.AtTarget.gone()
}

// seeSource takes the source's evidence.
func (m *Move) seeSource(e Evidence) {
	m.AtSource = &e
	m.StoodPaused = m.StoodPaused || e.Presence == PresencePaused
}
