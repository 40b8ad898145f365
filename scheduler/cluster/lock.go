package cluster

import "time"

// Lock lets one holder at a time do what must not happen on two members at
// once: restart a daemon, upgrade a package. It ends by itself.
type Lock struct {
	Holder string `json:"holder"` // a host, or whoever it is
	ID     string `json:"id"`     // of the taking: only who knows it prolongs or gives it back
	Since  Time   `json:"since"`
	Until  Time   `json:"until"`
	Text   string `json:"text,omitempty"`
}

type (
	// TakeLock takes the cluster's lock, or prolongs it for who has it.
	TakeLock struct {
		ID     string `json:"id"`
		Holder string `json:"holder"`
		Until  Time   `json:"until"`
		Text   string `json:"text,omitempty"`
	}

	// GiveLock gives the lock back. Without an id it is taken from its holder.
	GiveLock struct {
		ID   string `json:"id,omitempty"`
		Text string `json:"text,omitempty"`
	}
)

// maxLock bounds how long the lock may be held without being taken again.
const maxLock = 24 * time.Hour

func (TakeLock) kind() string { return "take-lock" }

func (b TakeLock) apply(s *State, _ Meta, c *Command) error {
	switch {
	case c.Actor.Kind != KindOperator:
		return refuse(CodeNotYours, "only an operator takes the lock")
	case b.ID == "" || len(b.ID) > 64 || b.Holder == "" || len(b.Holder) > maxName || !printable(b.ID) || !printable(b.Holder) || len(b.Text) > maxText:
		return refuse(CodeAbsurdFigure, "lock %.70q of %.80q: id and holder must be printable and of 1 to 64 bytes, the reason of at most %d", b.ID, b.Holder, maxText)
	case b.Until <= s.Now || b.Until.Sub(s.Now) > maxLock:
		return refuse(CodeAbsurdFigure, "a lock must end after now, and within %v", maxLock)
	}
	since := s.Now
	if held := s.Lock; held.Until > s.Now {
		if held.ID != b.ID {
			return refuse(CodeLocked, "%s has the lock until %s: %s", held.Holder, held.Until.Std().Format(time.RFC3339), held.Text)
		}
		since = held.Since
	}
	s.Lock = Lock{b.Holder, b.ID, since, b.Until, b.Text}
	return nil
}

func (GiveLock) kind() string { return "give-lock" }

func (b GiveLock) apply(s *State, _ Meta, c *Command) error {
	switch held := s.Lock; {
	case c.Actor.Kind != KindOperator:
		return refuse(CodeNotYours, "only an operator gives the lock back")
	case held.Until <= s.Now:
		s.Lock = Lock{} // it has ended, or was given back: what was wanted is so
		return nil
	case b.ID != "" && b.ID != held.ID:
		return refuse(CodeLocked, "%s has the lock by now, until %s", held.Holder, held.Until.Std().Format(time.RFC3339))
	}
	s.Lock = Lock{}
	return nil
}
