package voters

import "testing"

// Case 3: the leader is cut off and goes on proposing. The others elect a new
// one; nothing that the old one is asked in the meantime is acknowledged, for
// nothing of it is committed; it says what it is; and it comes back as a
// follower.
func TestFault03LeaderPartitioned(t *testing.T) {
	for name, c := range map[string]struct{ strike, heal func(m *Member) error }{
		"BothWays":     {func(m *Member) error { return m.Cut(Both) }, (*Member).Mend},
		"LeaderIsDeaf": {func(m *Member) error { return m.Cut(Deaf) }, (*Member).Mend},
		"LeaderIsMute": {func(m *Member) error { return m.Cut(Mute) }, (*Member).Mend},
		"CableOut":     {func(m *Member) error { return m.Link(false) }, func(m *Member) error { return m.Link(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Plain, Plain, Plain)
			old := s.agree("before", s.Members...)
			s.must(c.strike(old))
			s.refused("cut off", old)
			s.goesOn("cut off", old)
			s.readOnly("cut off", old)
			s.refused("cut off for a while", old)
			s.must(c.heal(old))
			s.agree("mended", s.Members...)
			s.ack("mended", old)
			s.agree("mended", s.Members...)
		})
	}
}
