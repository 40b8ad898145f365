package cluster

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// steering tells what operators, or evenkeel's own brake, changed of what may
// be done.
func (t *teller) steering() {
	before, after := &t.before, &t.after
	if is, was := modeWords(after), modeWords(before); is != was {
		t.asked(EventModeChanged, nil, "mode is %s, was %s, by %s", is, was, after.ModeBy)
	}
	if before.Settings != after.Settings {
		t.asked(EventPolicyChanged, nil, "policy changed by %s: %s", t.c.Actor.who(), changedSettings(before.Settings, after.Settings))
	}
	if before.Level != after.Level {
		t.asked(EventLevelRaised, nil, "feature level is %d, was %d", after.Level, before.Level)
	}
	t.pause()
	t.freeze()
	t.lock()
	t.cordons()
	t.revocations()
	t.rules()
	t.partPauses()
	t.quiet()
	t.foreigns()
}

// modeWords names a mode, and whom it is for.
func modeWords(s *State) string {
	if scope := s.Scope.String(); scope != "" {
		return string(s.Mode) + " for " + scope
	}
	return string(s.Mode)
}

func (t *teller) pause() {
	was, is := t.before.Paused, t.after.Paused
	switch held := was.Until > t.before.Now; {
	case is.Until > t.after.Now && is != was:
		t.asked(EventPaused, nil, "automation is paused by %s until %s%s", is.By, clock(is.Until), because(is.Text))
	case held && is == (Paused{}):
		t.asked(EventPauseEnded, nil, "the pause was ended by %s", t.c.Actor.who())
	case held && is.Until <= t.after.Now:
		t.tell(EventPauseEnded, nil, "the pause by %s expired", was.By)
	}
}

// freeze leaves out a freeze that is only prolonged.
func (t *teller) freeze() {
	was, is := t.before.Frozen, t.after.Frozen
	held, holds := was.holds(t.before.Now), is.holds(t.after.Now)
	switch {
	case holds && (!held || was.Since != is.Since || (was.Until == 0) != (is.Until == 0)):
		t.tell(EventFreezeSet, nil, "evenkeel froze automation: %s", is.Cause)
	case held && !holds && is == (Frozen{}):
		t.asked(EventFreezeLifted, nil, "the freeze was lifted by %s", t.c.Actor.who())
	case held && !holds:
		t.tell(EventFreezeLifted, nil, "the freeze expired: %s", was.Cause)
	}
}

// lock leaves out a lock that is only prolonged, and one that has ended.
func (t *teller) lock() {
	was, is := t.before.Lock, t.after.Lock
	switch {
	case is.ID != "" && is.ID != was.ID:
		t.asked(EventLockTaken, nil, "%s has the cluster's lock until %s%s", is.Holder, clock(is.Until), because(is.Text))
	case is.ID == "" && was.Until > t.after.Now:
		t.asked(EventLockGiven, nil, "%s has the cluster's lock no more", was.Holder)
	}
}

// cordons tells what operators asked of hosts. A host's own removal is told as
// that.
func (t *teller) cordons() {
	for _, is := range t.after.Cordons {
		was, known := t.before.Cordoned(is.Host)
		switch about := []Subject{t.member(is.Host)}; {
		case is.Drain && (!known || !was.Drain):
			t.asked(EventHostDrained, about, "%s is drained by %s%s", t.name(is.Host), is.By, because(is.Text))
		case !is.Drain && (!known || was.Drain):
			t.asked(EventHostCordoned, about, "%s is cordoned by %s%s", t.name(is.Host), is.By, because(is.Text))
		}
	}
	for _, was := range t.before.Cordons {
		_, still := t.after.Cordoned(was.Host)
		if _, member := t.after.members.get(was.Host); !still && member {
			t.asked(EventHostUncordoned, []Subject{t.member(was.Host)}, "%s takes VMs again; it was cordoned by %s", t.name(was.Host), was.By)
		}
	}
}

// revocations leaves out what is only said again, or forgotten.
func (t *teller) revocations() {
	for _, r := range t.after.Revocations {
		if !t.before.Revoked(r.ID) {
			t.asked(EventCertRevoked, nil, "the certificate %s of %s is refused from now on, says %s%s", r.ID, r.Name, r.By, because(r.Text))
		}
	}
}

// changedSettings names each setting that differs, by its JSON name.
func changedSettings(was, is Settings) string {
	a, b := reflect.ValueOf(was), reflect.ValueOf(is)
	var parts []string
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			parts = append(parts, fmt.Sprintf("%s %v -> %v", name, x, y))
		}
	}
	return strings.Join(parts, ", ")
}

func clock(t Time) string { return t.Std().Format(time.RFC3339) }
