package cluster

import (
	"slices"
	"strings"
	"time"
)

// Token lets one host join, once. The State keeps the SHA-256 of its secret
// only.
type Token struct {
	ID      string `json:"id"`   // the first bytes of Hash, in hex
	Hash    string `json:"hash"` // SHA-256 of the secret, in hex
	Name    string `json:"name"` // of the host that it is bound to
	Role    Role   `json:"role"`
	Expires Time   `json:"expires"`
	// Replace: the host had this name before and comes back with an empty disk;
	// its old member id is revoked when the token is used.
	Replace bool `json:"replace,omitempty"`

	By     string `json:"by,omitempty"` // who made it
	UsedAt Time   `json:"used_at,omitempty"`
	UsedBy string `json:"used_by,omitempty"` // member id, which follows from the joining host's key
}

type (
	// AddToken makes a token for a host that shall join.
	AddToken struct {
		Token Token  `json:"token"`
		Text  string `json:"text,omitempty"`
	}

	// UseToken spends a token, for the holder of a key. The leader sends it after
	// it has seen the secret.
	UseToken struct {
		Token  string `json:"token"` // id
		Member string `json:"member"`
	}
)

// MaxTokens bounds the tokens that the State keeps, used and expired ones
// included, of which it forgets the oldest.
const MaxTokens = 128

// maxTokenLife bounds how long a token may be good for.
const maxTokenLife = 7 * 24 * time.Hour

// TokenID names a token by the hash of its secret.
func TokenID(hash string) string { return "t-" + hash[:min(8, len(hash))] }

func (AddToken) kind() string { return "add-token" }

func (b AddToken) apply(s *State, _ Meta, c *Command) error {
	t := b.Token
	if c.Actor.Kind != KindOperator {
		return refuse(CodeNotYours, "only an operator lets hosts join")
	}
	if err := s.checkToken(t); err != nil {
		return err
	}
	t.By, t.UsedAt, t.UsedBy = c.Actor.Name, 0, ""
	tokens := make([]Token, 0, len(s.Tokens)+1)
	for _, old := range s.Tokens {
		// A newer token for the same host takes the place of one that waits.
		if old.Name != t.Name || old.UsedAt != 0 {
			tokens = append(tokens, old)
		}
	}
	for len(tokens) >= MaxTokens {
		tokens = tokens[1:]
	}
	s.Tokens = append(tokens, t)
	return nil
}

func (s *State) checkToken(t Token) error {
	twin, taken := s.MemberNamed(t.Name)
	switch {
	case !isHash(t.Hash) || t.ID != TokenID(t.Hash):
		return refuse(CodeAbsurdFigure, "token %.20q: its hash is not 64 digits of hex, or its id not their beginning", t.ID)
	case t.Name == "" || len(t.Name) > 64 || !printable(t.Name):
		return refuse(CodeAbsurdFigure, "token %s: the host's name is empty, longer than 64 bytes or not printable", t.ID)
	case t.Role != RoleHypervisor && t.Role != RoleWitness:
		return refuse(CodeAbsurdFigure, "token %s: role %.20q", t.ID, t.Role)
	case t.Expires <= s.Now || t.Expires.Sub(s.Now) > maxTokenLife:
		return refuse(CodeAbsurdFigure, "token %s: it must be valid for some time, and for %v at most", t.ID, maxTokenLife)
	case taken && !t.Replace:
		return refuse(CodeDuplicateName, "the name %s belongs to member %s; if that host lost its disk, say --replace", t.Name, twin.ID)
	case !taken && t.Replace && !s.hadMember(t.Name):
		return refuse(CodeUnknownHost, "there is no member %s to replace, and there was none", t.Name)
	}
	if _, known := s.Token(t.ID); known {
		return refuse(CodeDuplicateName, "token %s exists", t.ID)
	}
	return nil
}

// hadMember says whether a member of that name was removed: who replaces it may
// have asked before, and lost the answer.
func (s *State) hadMember(name string) bool {
	return slices.ContainsFunc(s.Removals, func(r Removal) bool { return r.Name == name })
}

func isHash(text string) bool {
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return len(text) == 64
}

// Token finds a token by its id.
func (s State) Token(id string) (Token, bool) {
	for _, t := range s.Tokens {
		if t.ID == id {
			return t, true
		}
	}
	return Token{}, false
}

// Spendable says why a member may not use a token now, or nil. The member that
// used it may do so again until it expires: its first answer may have been
// lost.
func (s State) Spendable(id, member string, now Time) error {
	t, ok := s.Token(id)
	switch {
	case !ok:
		return refuse(CodeUnknownToken, "there is no token %.20q; make one with `evenkeel cluster add`", id)
	case t.Expires < max(now, s.Now):
		return refuse(CodeTokenExpired, "the token for %s expired at %s; make another with `evenkeel cluster add %s`", t.Name, t.Expires.Std().Format(time.RFC3339), t.Name)
	case t.UsedAt != 0 && t.UsedBy != member:
		return refuse(CodeTokenUsed, "the token for %s was used at %s by member %s; if that was not you, remove that member", t.Name, t.UsedAt.Std().Format(time.RFC3339), t.UsedBy)
	}
	return s.admits(member)
}

func (UseToken) kind() string { return "use-token" }

func (b UseToken) apply(s *State, _ Meta, c *Command) error {
	if c.Actor.Kind == KindOperator {
		return refuse(CodeNotYours, "only a leader spends tokens")
	}
	if !validID(b.Member) {
		return refuse(CodeAbsurdFigure, "member id %.40q is no UUID", b.Member)
	}
	if err := s.Spendable(b.Token, b.Member, s.Now); err != nil {
		return err
	}
	t, _ := s.Token(b.Token)
	if t.UsedAt != 0 {
		return nil
	}
	if m, known := s.members.get(b.Member); known {
		return refuse(CodeDuplicateName, "member %s exists already, as %s", m.ID, m.Name)
	}
	old, taken := s.MemberNamed(t.Name)
	switch {
	case taken && !t.Replace:
		return refuse(CodeDuplicateName, "the name %s belongs to member %s meanwhile", t.Name, old.ID)
	case taken:
		s.expel(old, t.By, "replaced")
	}
	tokens := make([]Token, len(s.Tokens))
	copy(tokens, s.Tokens)
	for i := range tokens {
		if tokens[i].ID == t.ID {
			tokens[i].UsedAt, tokens[i].UsedBy = s.Now, b.Member
		}
	}
	s.Tokens = tokens
	return nil
}

// WithoutHash is the token for those who may not know its hash: as much of that
// stays as makes its ID, so that commands about the token apply as before.
func (t Token) WithoutHash() Token {
	kept := strings.TrimPrefix(t.ID, "t-")
	if len(kept) < len(t.Hash) {
		t.Hash = kept + strings.Repeat("0", len(t.Hash)-len(kept))
	}
	return t
}
