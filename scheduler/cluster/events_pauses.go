package cluster

// partPauses tells which hosts and VMs operators paused, and which of those
// pauses are over.
func (t *teller) partPauses() {
	was, is := t.before.PartPauses(), t.after.PartPauses()
	for _, p := range is {
		if old, held := pauseOf(was, p); !held || old.Paused != p.Paused {
			t.asked(EventPaused, t.paused(p), "%s is paused by %s until %s%s", t.pausedName(p), p.By, clock(p.Until), because(p.Text))
		}
	}
	for _, p := range was {
		switch _, holds := pauseOf(is, p); {
		case !holds && p.Until <= t.after.Now:
			t.tell(EventPauseEnded, t.paused(p), "the pause of %s by %s expired", t.pausedName(p), p.By)
		case !holds:
			t.asked(EventPauseEnded, t.paused(p), "the pause of %s was ended by %s", t.pausedName(p), t.c.Actor.who())
		}
	}
}

// pauseOf finds the pause of the same host or VM.
func pauseOf(list []PartPause, like PartPause) (PartPause, bool) {
	for _, p := range list {
		if p.Host == like.Host && p.VM == like.VM {
			return p, true
		}
	}
	return PartPause{}, false
}

func (t *teller) paused(p PartPause) []Subject {
	if p.Host != "" {
		return []Subject{t.member(p.Host)}
	}
	return []Subject{{SubjectVM, p.VM, t.after.vmName(p.VM)}}
}

func (t *teller) pausedName(p PartPause) string {
	if p.Host != "" {
		return t.name(p.Host)
	}
	return t.after.vmName(p.VM)
}
