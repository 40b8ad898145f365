package cluster

import (
	"fmt"
	"time"
)

// who names an actor for people.
func (a Actor) who() string {
	if a.Name != "" {
		return a.Name
	}
	return fmt.Sprintf("%s %s", a.Kind, a.ID)
}

func (SetMode) kind() string { return "set-mode" }

func (b SetMode) apply(s *State, _ Meta, c *Command) error {
	switch b.Mode {
	case ModeOff, ModeRecommend, ModeAuto:
	default:
		return refuse(CodeAbsurdFigure, "mode %.20q, must be off, recommend or auto", b.Mode)
	}
	scope := Scope{}
	if b.Scope != nil {
		if b.Mode != ModeAuto {
			return refuse(CodeAbsurdFigure, "mode %s is for all VMs and hosts; only auto can be for some", b.Mode)
		}
		if err := b.Scope.check(); err != nil {
			return err
		}
		scope = *b.Scope
	}
	s.Mode, s.ModeBy, s.Scope = b.Mode, c.Actor.who(), scope
	return nil
}

func (Pause) kind() string { return "pause" }

func (b Pause) apply(s *State, _ Meta, c *Command) error {
	if b.Until <= s.Now || b.Until.Sub(s.Now) > 366*24*time.Hour {
		return refuse(CodeAbsurdFigure, "pause until %v, must lie ahead by at most a year", b.Until.Std())
	}
	paused := Paused{Until: b.Until, Since: s.Now, By: c.Actor.who(), Text: clip(b.Text)}
	if b.Host != "" || b.VM != "" {
		return s.pausePart(PartPause{b.Host, b.VM, paused})
	}
	s.Paused = paused
	return nil
}

func (Resume) kind() string { return "resume" }

func (b Resume) apply(s *State, _ Meta, _ *Command) error {
	if b.Host != "" || b.VM != "" {
		s.Pauses = s.without(b.Host, b.VM)
		return nil
	}
	s.Paused, s.Frozen, s.ThawedAt = Paused{}, Frozen{}, s.Now
	return nil
}

func (Freeze) kind() string { return "freeze" }

// apply freezes, or prolongs a freeze that would expire earlier. A freeze
// without an expiry stays what it is.
func (b Freeze) apply(s *State, _ Meta, _ *Command) error {
	if b.Until != 0 && (b.Until <= s.Now || b.Until.Sub(s.Now) > 24*time.Hour) {
		return refuse(CodeAbsurdFigure, "freeze until %v, must lie ahead by at most a day", b.Until.Std())
	}
	since := s.Now
	if s.Frozen.holds(s.Now) {
		if s.Frozen.Until == 0 || b.Until != 0 && b.Until <= s.Frozen.Until {
			return nil
		}
		since = s.Frozen.Since
	}
	s.Frozen = Frozen{Since: since, Until: b.Until, Cause: clip(b.Cause)}
	return nil
}

func (SetSettings) kind() string { return "set-settings" }

func (b SetSettings) apply(s *State, _ Meta, _ *Command) error {
	if err := b.Settings.Check(); err != nil {
		return err
	}
	s.Settings = b.Settings
	return nil
}
