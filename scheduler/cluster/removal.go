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
	for live := range s.Live() {
		if live.Source == m.ID || live.Target == m.ID {
			return refuse(CodeMoveInFlight, "%s is an end of %s, which is %s; wait for it, or say --force", m.Name, live.ID, live.State)
		}
	}
	if h, _ := s.hosts.get(m.ID); len(h.Inventory.VMs) > 0 {
		return refuse(CodeHasVMs, "%s has %d VMs, such as %s; move them away, or say --force to stop looking after them", m.Name, len(h.Inventory.VMs), h.Inventory.VMs[0].Name)
	}
	return nil
}

// Lose keeps the ids of members as revoked that a recovery went on without:
// together they may still be a majority of the cluster as it was, so nobody
// speaks to them until their hosts join anew. What is known of those hosts and
// their VMs stays until then.
func (s State) Lose(ids []string, why string) State {
	removals := make([]Removal, 0, len(s.Removals)+len(ids))
	removals = append(removals, s.Removals...)
	for _, id := range ids {
		if s.admits(id) != nil {
			continue
		}
		m, _ := s.members.get(id) // one that never announced itself has no name
		removals = append(removals, Removal{ID: id, Name: m.Name, At: s.Now, By: "cluster recover", Text: clip(why)})
	}
	s.Removals = removals
	return s
}

// expel forgets a member and what it reported, and keeps its id as revoked.
func (s *State) expel(m Member, by, text string) {
	if h, ok := s.hosts.get(m.ID); ok {
		s.place(m.ID, h.Inventory.VMs, nil)
		s.hosts = s.hosts.without(m.ID)
	}
	s.members = s.members.without(m.ID)
	if d, ok := s.descriptions.get(m.ID); ok {
		s.undescribe(d)
		s.descriptions = s.descriptions.without(m.ID)
		s.noteMetas(m.ID, Describe{})
	}
	s.uncordon(m.ID)
	if s.admits(m.ID) != nil {
		return // it was lost before
	}
	removals := make([]Removal, 0, len(s.Removals)+1)
	s.Removals = append(append(removals, s.Removals...), Removal{m.ID, m.Name, s.Now, by, text})
}

// Revoked says whether an id is refused: a member was removed, or an operator's
// certificate revoked. Nobody speaks to it any more.
func (s State) Revoked(id string) bool {
	for _, r := range s.Removals {
		if r.ID == id {
			return true
		}
	}
	for _, r := range s.Revocations {
		if r.ID == id {
			return true
		}
	}
	return false
}

// admits refuses what a removed member says.
func (s State) admits(member string) error {
	for _, r := range s.Removals {
		if r.ID == member {
			return refuse(CodeRevoked, "member %s (%s) was removed by %s; let the host join anew with `evenkeel cluster add %s --replace`", r.ID, r.Name, r.By, r.Name)
		}
	}
	return nil
}
