package cluster

// Margins by which a revived State runs ahead of the one that was saved. What
// the lost cluster did after the save has numbers up to there, which hosts may
// still know: a new order must not get the id of one that a host has already
// carried out.
const (
	ReviveMoves = 1 << 16
	ReviveTerms = 1 << 10
	ReviveIndex = 1 << 20
)

// Revive makes a State fit to go on after what came later is lost: from a
// backup, or from one survivor of a lost quorum. Nobody may act on what it
// says of moves: an order that was open is cancelled, and a move that was
// claimed or ran is unknown, until evidence or an operator's word. It is
// frozen until an operator has looked and resumes. Tokens for joining are void,
// for they may have been used.
func (s State) Revive(why string) State {
	for m := range s.Live() {
		switch m.State {
		case MoveOrdered:
			m.State, m.EndedAt = MoveCancelled, s.Now
			m.Why = clip("cancelled: " + why)
			s.store(m)
		case MoveClaimed, MoveRunning:
			s.end(m, MoveUnknown, clip(why))
		}
	}
	s.LastMove += ReviveMoves
	s.Term += ReviveTerms // so that nobody takes it for the State that was saved
	s.Tokens, s.Lock = nil, Lock{}
	// One member alone has a seat now, so the others may come with empty disks.
	for id, m := range s.members.all() {
		m.Disk = ""
		s.members = s.members.set(id, m)
	}
	s.Frozen = Frozen{Since: max(s.Now, 1), Cause: clip(why + "; look at `evenkeel history`, then `evenkeel resume`")}
	return s
}
