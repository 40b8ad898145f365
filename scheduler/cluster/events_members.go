package cluster

// members tells who came, started anew, and went.
func (t *teller) members() {
	for _, r := range t.after.Removals[min(len(t.before.Removals), len(t.after.Removals)):] {
		t.removed = append(t.removed, r.ID)
		t.asked(EventMemberRemoved, []Subject{{SubjectMember, r.ID, r.Name}}, "%s was removed by %s and its id is revoked%s", r.Name, r.By, because(r.Text))
	}
	b, ok := t.c.Body.(Announce)
	if !ok || t.before.members == t.after.members {
		return
	}
	m, _ := t.after.members.get(b.Member.ID)
	old, known := t.before.members.get(b.Member.ID)
	about := []Subject{t.member(m.ID)}
	switch {
	case !known:
		t.tell(EventMemberJoined, about, "%s joined as %s, version %s", m.Name, m.Role, m.Version)
	case m.Incarnation != old.Incarnation && m.Version != old.Version:
		t.tell(EventMemberRestarted, about, "%s started anew, version %s, was %s", m.Name, m.Version, old.Version)
	case m.Incarnation != old.Incarnation:
		t.tell(EventMemberRestarted, about, "%s started anew, version %s", m.Name, m.Version)
	}
}

// tokens tells of hosts that may join, never a token's secret or its hash.
func (t *teller) tokens() {
	switch b := t.c.Body.(type) {
	case AddToken:
		was, known := t.before.Token(b.Token.ID)
		is, ok := t.after.Token(b.Token.ID)
		if ok && (!known || was != is) {
			t.asked(EventTokenMade, []Subject{{SubjectToken, is.ID, is.Name}}, "%s may join as %s until %s, says %s%s", is.Name, is.Role, clock(is.Expires), is.By, because(b.Text))
		}
	case UseToken:
		was, _ := t.before.Token(b.Token)
		is, ok := t.after.Token(b.Token)
		if ok && was.UsedAt != is.UsedAt {
			t.tell(EventTokenUsed, []Subject{{SubjectToken, is.ID, is.Name}, {SubjectMember, is.UsedBy, is.Name}}, "%s used the token that %s made, and has id %s", is.Name, is.By, is.UsedBy)
		}
	}
}
