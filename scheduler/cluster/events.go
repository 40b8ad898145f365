package cluster

import "slices"

// Events tells what an entry did, from the States before and after it and its
// command: at most [MaxEvents], the weightier first. It looks at nothing else,
// so every replica tells the same of the same entry, and so does whoever
// applies the log again. It costs by the size of the command, and one look at
// each host for those that fell silent.
//
// What happens without an entry is not told: while there is no leader nothing
// is, and a silence is told with the first entry after it began.
func Events(before, after State, c Command) []Event {
	t := teller{before: before, after: after, c: c}
	t.term()
	t.steering()
	t.decision()
	t.moves()
	t.members()
	t.tokens()
	t.hosts()
	t.duplicates()
	t.autostart()
	t.silence()
	return t.out()
}

// teller gathers the events of one entry.
type teller struct {
	before, after State
	c             Command
	told          []Event

	moved   []Move   // moves that the entry changed, as they are after it
	removed []string // hosts whose inventory went with them
}

// tell adds an event of its kind's usual severity.
func (t *teller) tell(kind EventKind, about []Subject, format string, args ...any) *Event {
	t.told = append(t.told, Event{Kind: kind, Severity: kind.usual(), Subjects: about, Text: sentence(format, args...)})
	return &t.told[len(t.told)-1]
}

// asked adds an event that the command itself wanted.
func (t *teller) asked(kind EventKind, about []Subject, format string, args ...any) *Event {
	e := t.tell(kind, about, format, args...)
	if t.c.Actor.Kind == KindOperator {
		e.By = t.c.Actor
	}
	return e
}

// out numbers the events, and counts those beyond the bound.
func (t *teller) out() []Event {
	if len(t.told) > MaxEvents {
		rest := t.told[MaxEvents-1:]
		t.told = slices.Clone(t.told[:MaxEvents-1])
		e := t.tell(EventFolded, nil, "%d further events of this entry, the first: %s", len(rest), rest[0].Text)
		for _, r := range rest {
			if r.Severity.AtLeast(e.Severity) {
				e.Severity = r.Severity
			}
		}
	}
	for i := range t.told {
		e := &t.told[i]
		e.Index, e.Number, e.Term, e.At = t.after.Index, i, t.after.Term, t.after.Now
	}
	return t.told
}

// because adds an operator's reason to a sentence.
func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// term tells of a new leader. The log does not say who it is; most often its
// first entry is one that only a leader writes.
func (t *teller) term() {
	if t.after.Term == t.before.Term {
		return
	}
	who := t.c.Actor
	switch t.c.Body.(type) {
	case Snapshots, Digests, Decide, Expire, Freeze, Verify, Deliver:
	default:
		who = Actor{}
	}
	if who.ID == "" || who.Kind == KindOperator {
		t.tell(EventLeaderChanged, nil, "a leader was elected for term %d", t.after.Term)
		return
	}
	if m, ok := t.after.members.get(who.ID); ok {
		who.Name = m.Name
	}
	t.tell(EventLeaderChanged, []Subject{{SubjectMember, who.ID, who.Name}}, "%s leads in term %d", who.who(), t.after.Term)
}

// decision tells of a new decision, not of those that were folded into one.
func (t *teller) decision() {
	if t.after.LastDecision == t.before.LastDecision {
		return
	}
	d, ok := t.after.decisions.get(t.after.LastDecision)
	if !ok {
		return
	}
	about := []Subject{{SubjectDecision, d.ID, ""}}
	if d.Code != "" {
		e := t.tell(EventDecisionMade, about, "%s: %s, %s: %s", d.ID, d.Result, d.Code, d.Text)
		if d.Code == CodeCapacityShort {
			e.Severity = SeverityWarning // evenkeel can do nothing about it: a person must
		}
		return
	}
	t.tell(EventDecisionMade, about, "%s: %s: %s", d.ID, d.Result, d.Text)
}

func (t *teller) member(id string) Subject { return t.as(SubjectMember, id) }

// as names a member. One that has just been removed is known from before.
func (t *teller) as(kind SubjectKind, id string) Subject {
	return Subject{kind, id, t.name(id)}
}

func (t *teller) name(id string) string {
	if m, ok := t.after.members.get(id); ok {
		return m.Name
	}
	return t.before.HostName(id)
}
