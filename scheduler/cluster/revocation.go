package cluster

import "time"

// Revocation is an operator's certificate that is refused although its time is
// not over: a laptop was lost, or somebody left.
type Revocation struct {
	ID    string `json:"id"`    // in the certificate's URI
	Name  string `json:"name"`  // for people
	Until Time   `json:"until"` // the certificate's own end: it is forgotten then
	At    Time   `json:"at"`
	By    string `json:"by"`
	Text  string `json:"text,omitempty"`
}

// RevokeCertificate refuses an operator's certificate from now on.
type RevokeCertificate struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Until Time   `json:"until"`
	Text  string `json:"text,omitempty"`
}

// Bounds of what is revoked.
const (
	MaxRevocations = 1000
	maxCertificate = 50 * 366 * 24 * time.Hour
)

func (RevokeCertificate) kind() string { return "revoke-certificate" }

func (b RevokeCertificate) apply(s *State, _ Meta, c *Command) error {
	switch {
	case c.Actor.Kind != KindOperator:
		return refuse(CodeNotYours, "only an operator revokes certificates")
	case !validID(b.ID) || len(b.Name) > maxName || !printable(b.Name) || len(b.Text) > maxText:
		return refuse(CodeAbsurdFigure, "certificate %.40q of %.80q: want its UUID, a printable name and a reason of at most %d bytes", b.ID, b.Name, maxText)
	case b.Until <= s.Now:
		return nil // its time is over: what was wanted is so
	case b.Until.Sub(s.Now) > maxCertificate:
		return refuse(CodeAbsurdFigure, "certificate %s would be valid for %v", b.ID, b.Until.Sub(s.Now))
	}
	if m, ok := s.members.get(b.ID); ok {
		return refuse(CodeHasVMs, "%s is member %s: remove it with `evenkeel cluster remove %s`", b.ID, m.Name, m.Name)
	}
	kept := make([]Revocation, 0, len(s.Revocations)+1)
	for _, r := range s.Revocations {
		if r.Until > s.Now && r.ID != b.ID {
			kept = append(kept, r)
		}
	}
	if len(kept) >= MaxRevocations {
		return refuse(CodeTooMany, "%d certificates are revoked: with more, one would be forgotten; make a new CA", MaxRevocations)
	}
	s.Revocations = append(kept, Revocation{b.ID, b.Name, b.Until, s.Now, c.Actor.who(), b.Text})
	return nil
}
