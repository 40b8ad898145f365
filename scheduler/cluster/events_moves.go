package cluster

import (
	"fmt"
	"time"
)

// moves tells what became of moves. Only live ones change, and one that was
// done, by its verification.
func (t *teller) moves() {
	if t.before.moves == t.after.moves {
		return
	}
	seen := map[uint64]bool{}
	look := func(m Move) {
		if !seen[m.Seq] {
			seen[m.Seq] = true
			t.move(m.Seq)
		}
	}
	for m := range t.before.Live() {
		look(m)
	}
	for m := range t.after.Live() {
		look(m)
	}
	if v, ok := t.c.Body.(Verify); ok {
		if m, ok := t.after.Move(v.Move); ok {
			look(m)
		}
	}
}

// ends are the kinds by the state that a move came to.
var ends = map[MoveState]EventKind{
	MoveClaimed: EventMoveClaimed, MoveRunning: EventMoveStarted, MoveDone: EventMoveDone, MoveFailed: EventMoveFailed,
	MoveAborted: EventMoveAborted, MoveUnknown: EventMoveUnknown, MoveVetoed: EventMoveVetoed, MoveExpired: EventMoveExpired,
	MoveCancelled: EventMoveCancelled, MoveReleased: EventMoveReleased,
}

func (t *teller) move(seq uint64) {
	was, known := t.before.moves.get(seq)
	m, kept := t.after.moves.get(seq)
	if !kept {
		return // an ended one, forgotten
	}
	about := []Subject{{SubjectMove, m.ID, ""}, {SubjectVM, m.VM, m.VMName}, t.as(SubjectSource, m.Source), t.as(SubjectTarget, m.Target), {SubjectDecision, m.Decision, ""}}
	what := fmt.Sprintf("%s: %s from %s to %s", m.ID, m.VMName, t.name(m.Source), t.name(m.Target))
	switch {
	case !known:
		t.tell(EventMoveOrdered, about, "%s is ordered%s", what, because(m.Reason))
	case m.State != was.State:
		e := t.asked(ends[m.State], about, "%s %s%s%s", what, stateWords[m.State], lasted(m), because(m.Why))
		if m.Autostart == AutostartLost && m.Autostart != was.Autostart {
			e.Severity = SeverityWarning
			e.Text = sentence("%s; it is started with its host no more: virsh autostart there", e.Text)
		}
	case m.AbortAsked && !was.AbortAsked && t.c.Actor.Kind == KindOperator:
		t.asked(EventMoveAbortAsked, about, "%s shall end%s", what, because(m.Why))
		return
	case m.VerifiedAt != was.VerifiedAt:
		t.verified(m, about, what)
		return
	default:
		return
	}
	t.moved = append(t.moved, m)
}

// stateWords are the states in a sentence.
var stateWords = map[MoveState]string{
	MoveClaimed: "was claimed by its source", MoveRunning: "started", MoveDone: "is done", MoveFailed: "failed", MoveAborted: "was aborted",
	MoveUnknown: "has an unknown outcome", MoveVetoed: "was vetoed", MoveExpired: "expired", MoveCancelled: "was cancelled", MoveReleased: "was given back",
}

// lasted tells of a done move how long it took and how long the VM stood still.
func lasted(m Move) string {
	if m.State != MoveDone || m.StartedAt == 0 {
		return ""
	}
	text := fmt.Sprintf(", after %v", m.EndedAt.Sub(m.StartedAt).Round(100*time.Millisecond))
	if m.Downtime > 0 {
		text += fmt.Sprintf(", downtime %v", m.Downtime.Round(time.Millisecond))
	}
	return text
}

func (t *teller) verified(m Move, about []Subject, what string) {
	gain := ""
	if m.Measured != nil {
		gain = fmt.Sprintf(", the VM's contention %v -> %v", m.Measured.VMContentionBefore, m.Measured.VMContentionAfter)
	}
	e := t.tell(EventMoveVerified, about, "%s made things %s%s", what, m.Verdict, gain)
	if m.Verdict == VerdictSuspect {
		e.Text = sentence("%s could not be verified%s", what, because(m.Why))
	}
	if m.Verdict == VerdictWorse || m.Verdict == VerdictSuspect {
		e.Severity = SeverityWarning
	}
}
