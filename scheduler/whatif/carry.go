package whatif

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// twinWithin is how far apart the record and a lane may order the same move for
// it to be the same one.
const twinWithin = time.Minute

// carry plays the agents of both ends of the lane's live moves. A move that was
// made in the record as well goes as it went there, to the same outcome. Any
// other ends well, after the time that was predicted.
func (l *lane) carry(r *Run) {
	var live []cluster.Move
	for m := range l.state.Live() {
		live = append(live, m)
	}
	for _, m := range live {
		twin, ok := l.twin(r.rec, m)
		switch _, there := r.past.on[m.VM]; {
		case ok:
			l.mirror(m, twin)
		case !there:
			l.giveUp(m)
		default:
			l.advance(m)
		}
		if now, _ := l.state.Move(m.ID); now.State == cluster.MoveDone {
			l.put(r.past, m.VM, m.Target)
		}
	}
}

// twin finds the recorded move that a lane's move is the same as.
func (l *lane) twin(rec cluster.State, m cluster.Move) (cluster.Move, bool) {
	if id, ok := l.twins[m.ID]; ok {
		return rec.Move(id)
	}
	for _, t := range rec.MovesBackward() {
		apart := t.OrderedAt.Sub(m.OrderedAt)
		if apart < -twinWithin {
			break
		}
		if t.VM == m.VM && t.Source == m.Source && t.Target == m.Target && t.Trigger == m.Trigger && apart <= twinWithin {
			l.twins[m.ID] = t.ID
			return t, true
		}
	}
	return cluster.Move{}, false
}

// advance takes a move that the record does not know one step on.
func (l *lane) advance(m cluster.Move) {
	source, target := agent(m.Source), agent(m.Target)
	switch {
	case m.State == cluster.MoveOrdered && m.ReservedAt == 0:
		_ = l.say(target, cluster.Reserve{Move: m.ID})
	case m.State == cluster.MoveOrdered:
		_ = l.say(source, cluster.Claim{Move: m.ID, Incarnation: l.incarnation(m.Source)})
	case m.State == cluster.MoveClaimed && m.Try:
		_ = l.say(source, cluster.Release{Move: m.ID, Code: cluster.CodeTried})
	case m.State == cluster.MoveClaimed:
		_ = l.say(source, cluster.Start{Move: m.ID})
	case m.State == cluster.MoveRunning && l.state.Now.Sub(m.StartedAt) >= m.Predicted.Duration:
		_ = l.say(source, cluster.EndJob{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
		_ = l.say(target, cluster.Testify{Move: m.ID, Evidence: runs, Bytes: m.Predicted.Bytes})
	}
}

var runs = cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}

// giveUp ends a move whose VM was switched off in the record.
func (l *lane) giveUp(m cluster.Move) {
	source := agent(m.Source)
	switch m.State {
	case cluster.MoveOrdered:
		_ = l.say(source, cluster.Veto{Move: m.ID, Code: cluster.CodeUnknownVM, Text: "the VM was switched off"})
	case cluster.MoveClaimed:
		_ = l.say(source, cluster.Release{Move: m.ID, Text: "the VM was switched off"})
	default:
		_ = l.say(source, cluster.EndJob{Move: m.ID, Aborted: true, Report: "the VM was switched off", Evidence: runs})
		_ = l.say(agent(m.Target), cluster.Testify{Move: m.ID, Evidence: cluster.Evidence{Presence: cluster.PresenceAbsent}})
	}
}

// mirror takes a move as far as its twin got. What the State refuses is tried
// again with the next entry.
func (l *lane) mirror(m, twin cluster.Move) {
	source, target := agent(m.Source), agent(m.Target)
	again := func() bool {
		before := m
		m, _ = l.state.Move(m.ID)
		return m.State != before.State || m.ReservedAt != before.ReservedAt
	}
	for more := true; more && m.State.Live(); more = again() {
		switch {
		case m.State == cluster.MoveOrdered && twin.State == cluster.MoveVetoed:
			_ = l.say(source, cluster.Veto{Move: m.ID, Code: twin.WhyCode, Text: twin.Why})
		case m.State == cluster.MoveOrdered && twin.State == cluster.MoveCancelled:
			_ = l.say(leader, cluster.Cancel{Move: m.ID, Text: twin.Why})
		case m.State == cluster.MoveOrdered && m.ReservedAt == 0 && twin.ReservedAt != 0:
			_ = l.say(target, cluster.Reserve{Move: m.ID})
		case m.State == cluster.MoveOrdered && twin.ClaimedAt != 0:
			_ = l.say(source, cluster.Claim{Move: m.ID, Incarnation: l.incarnation(m.Source)})
		case m.State == cluster.MoveClaimed && twin.State == cluster.MoveReleased:
			_ = l.say(source, cluster.Release{Move: m.ID, Text: twin.Why, Code: twin.WhyCode})
		case m.State == cluster.MoveClaimed && twin.StartedAt != 0:
			_ = l.say(source, cluster.Start{Move: m.ID})
		case twin.JobEndedAt != 0 && m.JobEndedAt == 0:
			l.endAs(m, twin)
		case !twin.State.Live():
			l.endAs(m, twin)
		}
	}
}

// endAs ends a move with what both ends of its twin saw, or as an operator
// resolved it.
func (l *lane) endAs(m, twin cluster.Move) {
	source, target := runs, cluster.Evidence{Presence: cluster.PresenceAbsent}
	if twin.State == cluster.MoveDone {
		source, target = target, source
	}
	if twin.AtSource != nil && twin.State.Live() {
		source = *twin.AtSource
	}
	_ = l.say(agent(m.Source), cluster.EndJob{Move: m.ID, Report: twin.Report, Aborted: twin.AbortAsked, Evidence: source})
	if twin.State.Live() && twin.AtTarget == nil {
		return
	}
	if twin.State.Live() {
		target = *twin.AtTarget
	}
	_ = l.say(agent(m.Target), cluster.Testify{Move: m.ID, Evidence: target, Downtime: twin.Downtime, Bytes: twin.Bytes})
}

func agent(host string) cluster.Actor { return cluster.Actor{Kind: cluster.KindAgent, ID: host} }

func (l *lane) incarnation(host string) uint64 {
	m, _ := l.state.Member(host)
	return m.Incarnation
}
