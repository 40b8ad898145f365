package cluster

// Removal is a member that was removed: its id is revoked for ever.
type Removal struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	At   Time   `json:"at"`
	By   string `json:"by"`
	Text string `json:"text,omitempty"`
}

// RemoveMember takes a member out of the cluster and revokes its id.
type RemoveMember struct {
	Member string `json:"member"` // id
	Force  bool   `json:"force,omitempty"`
	Text   string `json:"text,omitempty"`
}

// MaxRemovals bounds the revoked ids that the State keeps.
const MaxRemovals = 2000

func (RemoveMember) kind() string { return "remove-member" }

func (b RemoveMember) apply(s *State, _ Meta, c *Command) error {
	if c.Actor.Kind != KindOperator {
		return refuse(CodeNotYours, "only an operator removes members")
	}
	m, known := s.members.get(b.Member)
	if !known {
		if s.Revoked(b.Member) {
			return refuse(CodeRevoked, "member %s was removed already", b.Member)
		}
		return refuse(CodeUnknownHost, "there is no member %.40q", b.Member)
	}
	if len(s.Removals) >= MaxRemovals {
		return refuse(CodeTooMany, "%d members were removed: with more, a revoked certificate would be forgotten; make a new CA", MaxRemovals)
	}
	if err := s.leavesNothing(m); err != nil && !b.Force {
		return err
	}
	s.expel(m, c.Actor.Name, b.Text)
	return nil
}

// leavesNothing says what would be left behind with a host.
func (s *State) leavesNothing(m Member) error {
	if live, _ := s.InFlight(m.ID); live > 0 {
		return refuse(CodeMoveInFlight, "%s is an end of %d moves in flight; wait for them, or say --force", m.Name, live)
	}
	if h, _ := s.hosts.get(m.ID); len(h.Inventory.VMs) > 0 {
		return refuse(CodeHasVMs, "%s has %d VMs, such as %s; move them away, or say --force to stop looking after them", m.Name, len(h.Inventory.VMs), h.Inventory.VMs[0].Name)
	}
	return nil
}

// expel forgets a member and what it reported, and keeps its id as revoked.
func (s *State) expel(m Member, by, text string) {
	if h, ok := s.hosts.get(m.ID); ok {
		s.place(m.ID, h.Inventory.VMs, nil)
		s.hosts = s.hosts.without(m.ID)
	}
	s.members = s.members.without(m.ID)
	removals := make([]Removal, 0, len(s.Removals)+1)
	s.Removals = append(append(removals, s.Removals...), Removal{m.ID, m.Name, s.Now, by, text})
}

// Revoked says whether a member was removed: nobody speaks to it any more.
func (s State) Revoked(member string) bool {
	for _, r := range s.Removals {
		if r.ID == member {
			return true
		}
	}
	return false
}

// admits refuses what a removed member says.
func (s State) admits(member string) error {
	for _, r := range s.Removals {
		if r.ID == member {
			return refuse(CodeRevoked, "member %s (%s) was removed by %s; let the host join anew with `evenkeel cluster add %s`", r.ID, r.Name, r.By, r.Name)
		}
	}
	return nil
}
