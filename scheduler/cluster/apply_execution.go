package cluster

import (
	"fmt"
	"time"
)

// moveFor finds the move a command is about and checks who speaks and in
// which of the given states it is.
func (s *State) moveFor(id string, states ...MoveState) (Move, error) {
	m, ok := s.Move(id)
	if !ok {
		return m, refuse(CodeUnknownMove, "no move %.40q", id)
	}
	for _, st := range states {
		if m.State == st {
			return m, nil
		}
	}
	return m, refuse(CodeWrongState, "%s is %s", m.ID, m.State)
}

func (c *Command) from(hosts ...string) error {
	for _, h := range hosts {
		if c.Actor.Kind == KindAgent && c.Actor.ID == h {
			return nil
		}
	}
	return refuse(CodeNotYours, "%s %.40s may not say this of the move", c.Actor.Kind, c.Actor.ID)
}

func (Reserve) kind() string { return "reserve" }

func (b Reserve) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveOrdered)
	if err != nil {
		return err
	}
	if err := c.from(m.Target); err != nil {
		return err
	}
	if s.Now > m.Deadline {
		return refuse(CodeDeadlinePassed, "%s could be claimed until %v ago", m.ID, s.Now.Sub(m.Deadline))
	}
	m.ReservedAt = s.Now
	s.store(m)
	return nil
}

func (Veto) kind() string { return "veto" }

func (b Veto) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveOrdered)
	if err != nil {
		return err
	}
	if err := c.from(m.Source, m.Target); err != nil {
		return err
	}
	if len(b.Code) > maxCode || !printable(string(b.Code)) {
		return refuse(CodeAbsurdFigure, "%s: veto with code %.40q", m.ID, b.Code)
	}
	m.State, m.EndedAt = MoveVetoed, s.Now
	m.WhyCode, m.Why = b.Code, clip(b.Text)
	s.store(m)
	return nil
}

func (Claim) kind() string { return "claim" }

// apply grants a claim once. INVARIANT: only a move that passed here may
// reach libvirt.
func (b Claim) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveOrdered)
	if err != nil {
		return err
	}
	if err := c.from(m.Source); err != nil {
		return err
	}
	source, _ := s.members.get(m.Source)
	target, _ := s.hosts.get(m.Target)
	place, _ := s.places.get(m.VM)
	switch {
	case b.Incarnation != source.Incarnation:
		return refuse(CodeStaleIncarnation, "claim by start %d of %s, the present one is %d", b.Incarnation, source.Name, source.Incarnation)
	case s.Now > m.Deadline:
		return refuse(CodeDeadlinePassed, "%s could be claimed until %v ago", m.ID, s.Now.Sub(m.Deadline))
	case m.ReservedAt == 0:
		return refuse(CodeNotReserved, "%s has not been reserved by %s", m.ID, s.HostName(m.Target))
	case !target.Fresh(s.Now):
		return refuse(CodeStaleSnapshot, "target %s is silent", s.HostName(m.Target))
	case len(place.Hosts) != 1 || place.Hosts[0] != m.Source:
		return refuse(CodeUnknownVM, "VM %s is no longer on %s alone", m.VMName, source.Name)
	}
	if m.Trigger == TriggerAuto && s.Mode == ModeRecommend {
		return refuse(CodeModeRecommend, "mode has become recommend since %s was ordered", m.ID)
	}
	if held := s.Holding(); held != nil && m.Trigger == TriggerAuto && held.Code != CodeWarmUp {
		// An order of an earlier term stays claimable while a new leader warms up.
		return held
	}
	m.State, m.ClaimedAt, m.Incarnation = MoveClaimed, s.Now, b.Incarnation
	s.store(m)
	return nil
}

func (Release) kind() string { return "release" }

func (b Release) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveClaimed)
	if err != nil {
		return err
	}
	if err := c.from(m.Source); err != nil {
		return err
	}
	if len(b.Code) > maxCode || !printable(string(b.Code)) {
		return refuse(CodeAbsurdFigure, "%s: release with code %.40q", m.ID, b.Code)
	}
	m.State, m.EndedAt, m.Why, m.WhyCode = MoveReleased, s.Now, clip(b.Text), b.Code
	s.store(m)
	return nil
}

func (Start) kind() string { return "start" }

func (b Start) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveClaimed)
	if err != nil {
		return err
	}
	if err := c.from(m.Source); err != nil {
		return err
	}
	if m.AbortAsked {
		return refuse(CodeWrongState, "%s was cancelled: %s", m.ID, m.Why)
	}
	if m.Try {
		return refuse(CodeTried, "%s is only tried: nothing may move", m.ID)
	}
	if err := b.Limit.check(m); err != nil {
		return err
	}
	m.State, m.StartedAt, m.Limit = MoveRunning, s.Now, b.Limit
	if b.Autostart {
		m.Autostart = AutostartOwed
	}
	s.store(m)
	s.disturb(m.Source, m.Target)
	return nil
}

func (Advance) kind() string { return "advance" }

func (b Advance) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveRunning)
	if err != nil {
		return err
	}
	if err := c.from(m.Source); err != nil {
		return err
	}
	p := b.Progress
	if p.Total < 0 || p.Processed < 0 || p.Remaining < 0 || p.DirtyRate < 0 || p.Bandwidth < 0 || p.Iteration < 0 || p.Throttle < 0 || p.Throttle > 100 {
		return refuse(CodeAbsurdFigure, "%s: negative progress", m.ID)
	}
	m.Progress = p
	s.store(m)
	return nil
}

func (EndJob) kind() string { return "end-job" }

func (b EndJob) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveRunning, MoveUnknown)
	if err != nil {
		return err
	}
	if err := c.from(m.Source); err != nil {
		return err
	}
	if err := b.Evidence.check(m); err != nil {
		return err
	}
	if m.JobEndedAt == 0 {
		m.JobEndedAt = s.Now
		m.Report = clip(b.Report)
		m.AbortAsked = m.AbortAsked || b.Aborted
	}
	e := b.Evidence
	e.At = s.Now
	m.seeSource(e)
	s.judge(m)
	return nil
}

func (Testify) kind() string { return "testify" }

func (b Testify) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveRunning, MoveUnknown)
	if err != nil {
		return err
	}
	if err := c.from(m.Source, m.Target); err != nil {
		return err
	}
	if m.State == MoveRunning && m.JobEndedAt == 0 {
		return refuse(CodeWrongState, "%s: its job has not ended yet, so nothing seen now is evidence", m.ID)
	}
	if err := b.Evidence.check(m); err != nil {
		return err
	}
	e := b.Evidence
	e.At = s.Now
	if c.Actor.ID == m.Source {
		m.seeSource(e)
	} else {
		m.AtTarget = &e
		if b.Downtime > 0 && b.Downtime < 24*time.Hour {
			m.Downtime = b.Downtime
		}
		if b.Bytes > 0 && b.Bytes < MaxMemory {
			m.Bytes = b.Bytes + CopiedBytes(m.Copies) // the target's libvirt counts the memory alone
		}
		if b.Autostart && m.Autostart == AutostartOwed {
			m.Autostart = AutostartKept
		}
	}
	s.judge(m)
	return nil
}

func (e Evidence) check(m Move) error {
	switch e.Presence {
	case PresenceRunning, PresencePaused, PresenceAbsent, PresenceOther:
		return nil
	}
	return refuse(CodeAbsurdFigure, "%s: evidence says %.20q", m.ID, e.Presence)
}

// judge ends a move when the evidence of both hosts proves its outcome. What
// they contradict each other in waits for better evidence until Expire calls
// it unknown; two running copies are unknown at once.
func (s *State) judge(m Move) {
	outcome, why := Judge(m.AtSource, m.AtTarget)
	switch {
	case outcome == MoveDone || outcome == MoveFailed:
		if outcome == MoveFailed && m.StoodPaused {
			why = "resumed at the source, where it had been left paused; absent at the target"
		}
		if outcome == MoveFailed && m.AbortAsked {
			outcome = MoveAborted
		}
		s.end(m, outcome, why)
	case m.AtSource != nil && m.AtTarget != nil && m.AtSource.runs() && m.AtTarget.runs():
		s.end(m, MoveUnknown, why)
	default:
		s.store(m)
	}
}

// end gives a move its outcome and draws the consequences for the VM's place,
// both hosts' figures and the automatic freeze.
func (s *State) end(m Move, outcome MoveState, why string) {
	m.State, m.EndedAt, m.Why = outcome, s.Now, why
	m.Autostart = m.Autostart.after(outcome)
	if outcome == MoveDone {
		p, _ := s.places.get(m.VM)
		p.Hosts, p.Moved = []string{m.Target}, s.Now
		s.places = s.places.set(m.VM, p)
		s.settleReturn(m)
	}
	s.store(m)
	s.disturb(m.Source, m.Target)
	if outcome == MoveFailed || outcome == MoveUnknown {
		s.freezeAfterFailures()
	}
}

func (s *State) freezeAfterFailures() {
	bad := 0
	since := max(s.Now.Add(-s.Settings.FreezeWindow), s.ThawedAt)
	for _, m := range s.moves.backward() {
		if m.OrderedAt < s.Now.Add(-s.Settings.FreezeWindow-24*time.Hour) {
			break
		}
		if (m.State == MoveFailed || m.State == MoveUnknown) && m.EndedAt > since && m.ResolvedBy == "" {
			bad++
		}
	}
	if bad >= s.Settings.FreezeAfter && s.Frozen.permits() {
		s.Frozen = Frozen{Since: s.Now, Cause: "too many moves failed or ended unknown; see `evenkeel history`"}
	}
}

func (Expire) kind() string { return "expire" }

func (b Expire) apply(s *State, _ Meta, _ *Command) error {
	m, err := s.moveFor(b.Move, MoveOrdered, MoveRunning)
	if err != nil {
		return err
	}
	if m.State == MoveOrdered {
		if s.Now <= m.Deadline {
			return refuse(CodeWrongState, "%s can be claimed for another %v", m.ID, m.Deadline.Sub(s.Now))
		}
		m.State, m.EndedAt = MoveExpired, s.Now
		m.WhyCode, m.Why = CodeDeadlinePassed, "not claimed within its deadline"
		if m.ReservedAt == 0 {
			m.WhyCode, m.Why = CodeNotReserved, "the target did not answer within the deadline"
		}
		s.store(m)
		return nil
	}
	if due := m.Overdue(s.Settings); s.Now <= due {
		return refuse(CodeWrongState, "%s: evidence may still come for %v", m.ID, due.Sub(s.Now))
	}
	_, why := Judge(m.AtSource, m.AtTarget)
	if m.JobEndedAt == 0 {
		why = "the source has not reported the end of its job"
	}
	s.end(m, MoveUnknown, why)
	return nil
}

// Overdue is when a running move's outcome is called unknown: a while after
// its job ended, or after the budget of a job whose end nobody reported.
func (m Move) Overdue(set Settings) Time {
	if m.JobEndedAt != 0 {
		return m.JobEndedAt.Add(set.EvidenceWithin)
	}
	return m.StartedAt.Add(m.Budget + 2*set.EvidenceWithin)
}

func (Cancel) kind() string { return "cancel" }

func (b Cancel) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveOrdered, MoveClaimed, MoveRunning)
	if err != nil {
		return err
	}
	m.Why = clip("cancelled by " + c.Actor.Name + ": " + b.Text)
	if m.State == MoveOrdered {
		m.State, m.EndedAt = MoveCancelled, s.Now
	} else {
		m.AbortAsked = true
	}
	s.store(m)
	return nil
}

func (Resolve) kind() string { return "resolve" }

func (b Resolve) apply(s *State, _ Meta, c *Command) error {
	m, err := s.moveFor(b.Move, MoveUnknown, MoveClaimed, MoveRunning)
	if err != nil {
		return err
	}
	source, _ := s.hosts.get(m.Source)
	switch {
	case c.Actor.Kind != KindOperator:
		return refuse(CodeNotYours, "only an operator resolves a move")
	case m.State != MoveUnknown && source.Fresh(s.Now):
		return refuse(CodeWrongState, "%s is %s and its source %s is alive: it will report", m.ID, m.State, s.HostName(m.Source))
	case b.RunningOn != "" && b.RunningOn != m.Source && b.RunningOn != m.Target:
		return refuse(CodeUnknownHost, "%s went from %s to %s, not to %.40s", m.ID, s.HostName(m.Source), s.HostName(m.Target), b.RunningOn)
	}
	m.ResolvedBy = c.Actor.Name
	outcome := MoveFailed
	if b.RunningOn == m.Target {
		outcome = MoveDone
	}
	s.resolve(m, outcome, clip("resolved by "+c.Actor.Name+": "+b.Text))
	return nil
}

// resolve ends a move by an operator's word; it never counts towards a freeze.
func (s *State) resolve(m Move, outcome MoveState, why string) {
	frozen := s.Frozen
	s.end(m, outcome, why)
	s.Frozen = frozen
}

func (Verify) kind() string { return "verify" }

func (b Verify) apply(s *State, _ Meta, _ *Command) error {
	m, err := s.moveFor(b.Move, MoveDone)
	if err != nil {
		return err
	}
	if m.VerifiedAt != 0 {
		return refuse(CodeWrongState, "%s has been verified", m.ID)
	}
	if len(b.Code) > maxCode {
		return refuse(CodeAbsurdFigure, "code of %d bytes", len(b.Code))
	}
	switch b.Verdict {
	case VerdictBetter, VerdictSame, VerdictWorse, VerdictSuspect:
	default:
		return refuse(CodeAbsurdFigure, "verdict %.20q", b.Verdict)
	}
	m.VerifiedAt, m.Measured, m.Verdict = s.Now, b.Measured, b.Verdict
	if b.Text != "" {
		m.Why, m.WhyCode = clip(b.Text), b.Code
	}
	s.store(m)
	if m.Verdict == VerdictSuspect && m.Measured != nil && s.Frozen.permits() {
		s.Frozen = Frozen{Since: s.Now, Cause: clip(fmt.Sprintf("VM %s shows no sign of life since %s; see `evenkeel explain %s`", m.VMName, m.ID, m.ID))}
	}
	return nil
}
