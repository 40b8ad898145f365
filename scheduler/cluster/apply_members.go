package cluster

import "time"

func (Announce) kind() string { return "announce" }

func (b Announce) apply(s *State, _ Meta, c *Command) error {
	m := b.Member
	if b.Cluster != s.Cluster {
		return refuse(CodeWrongCluster, "member %.80s belongs to cluster %.40s, this is %s", m.Name, b.Cluster, s.Cluster)
	}
	if c.Actor.ID != m.ID {
		return refuse(CodeNotYours, "%s announces member %.40s", c.Actor.ID, m.ID)
	}
	if err := m.check(); err != nil {
		return err
	}
	if err := s.admits(m.ID); err != nil {
		return err
	}
	old, known := s.members.get(m.ID)
	if known && old.Disk != "" && m.Disk != old.Disk {
		return refuse(CodeOtherDisk, "member %s announced itself from another state directory than before: a host that was installed anew does not go on as the one that it was; `evenkeel cluster add --replace %s`, and join with the new token", m.Name, m.Name)
	}
	if known && m.Incarnation == old.Incarnation && m.Address != old.Address && old.Address != "" {
		return refuse(CodeStaleIncarnation, "member %s announced start %d at %s, and now the same start at %s: two machines use one id; give one of them a certificate of its own", m.Name, m.Incarnation, old.Address, m.Address)
	}
	if known && m.Incarnation < old.Incarnation {
		return refuse(CodeStaleIncarnation, "member %s has been started %d times, this announcement says %d: is its id used twice?", m.Name, old.Incarnation, m.Incarnation)
	}
	if twin, ok := s.MemberNamed(m.Name); ok && twin.ID != m.ID {
		return refuse(CodeDuplicateName, "the name %s belongs to member %s", m.Name, twin.ID)
	}
	if !known && s.members.len() >= MaxMembers {
		return refuse(CodeTooMany, "%d members", MaxMembers)
	}
	m.JoinedAt = old.JoinedAt
	if !known {
		m.JoinedAt = s.Now
	}
	if m.Boot == "" {
		m.Boot = old.Boot // it could not be read this time
	}
	s.members = s.members.set(m.ID, m)
	s.hostOf(m, old)
	if m.Role == RoleHypervisor && old.Boot != "" && m.Boot != old.Boot {
		s.cordonRebooted(m)
	}
	return nil
}

// hostOf keeps a hypervisor's Host beside its member record. A new incarnation
// begins with no beats (its sequences start anew), but what it had is still
// the best word about which VMs are there.
func (s *State) hostOf(m, old Member) {
	h, known := s.hosts.get(m.ID)
	switch {
	case m.Role != RoleHypervisor:
		return
	case !known:
		h = Host{ID: m.ID}
	case m.Incarnation != old.Incarnation:
		h.Seq, h.DetailsSeq, h.Beats, h.Excess, h.ExcessSince = 0, 0, nil, 0, 0
	}
	s.hosts = s.hosts.set(m.ID, h)
}

func (m Member) check() error {
	switch {
	case !validID(m.ID):
		return refuse(CodeAbsurdFigure, "member id %.40q is no UUID", m.ID)
	case m.Name == "" || len(m.Name) > maxName || !printable(m.Name):
		return refuse(CodeAbsurdFigure, "member %s: name is empty, longer than %d bytes or not printable", m.ID, maxName)
	case m.Boot != "" && !validID(m.Boot):
		return refuse(CodeAbsurdFigure, "member %s: boot %.40q is no UUID", m.Name, m.Boot)
	case m.Disk != "" && !validID(m.Disk):
		return refuse(CodeAbsurdFigure, "member %s: data directory %.40q is no UUID", m.Name, m.Disk)
	case m.Role != RoleHypervisor && m.Role != RoleWitness:
		return refuse(CodeAbsurdFigure, "member %s: role %.20q", m.Name, m.Role)
	case m.Incarnation == 0 || m.Level == 0:
		return refuse(CodeAbsurdFigure, "member %s: incarnation %d, feature level %d", m.Name, m.Incarnation, m.Level)
	case m.Role == RoleHypervisor && (m.CPUs <= 0 || m.CPUs > maxCPUs || m.Memory <= 0 || m.Memory > MaxMemory):
		return refuse(CodeAbsurdFigure, "member %s: %d milli-CPUs, %d bytes of memory", m.Name, m.CPUs, m.Memory)
	case m.MigrationLink < 0 || m.MigrationLink > BytesPerSecond(MaxMemory):
		return refuse(CodeAbsurdFigure, "member %s: a link of %d bytes/s", m.Name, m.MigrationLink)
	case !m.Processor.sane():
		return refuse(CodeAbsurdFigure, "member %s: processor %.60q of %d cores and %d MHz", m.Name, m.Processor.Model, m.Processor.Cores, m.Processor.MHz)
	}
	for _, text := range []string{m.Version, m.APIAddress, m.Address, m.Zone, m.MigrationAddress, m.MigrationPeerURI, m.MigrationURI, m.Hold} {
		if len(text) > maxName || !printable(text) {
			return refuse(CodeAbsurdFigure, "member %s: an address, a version or a hold is longer than %d bytes or not printable", m.Name, maxName)
		}
	}
	return nil
}

func (RaiseLevel) kind() string { return "raise-level" }

func (b RaiseLevel) apply(s *State, _ Meta, c *Command) error {
	if c.Actor.Kind != KindOperator {
		return refuse(CodeNotYours, "only an operator raises the feature level")
	}
	if b.Level <= s.Level {
		return refuse(CodeWrongState, "the feature level is %d already", s.Level)
	}
	for _, m := range s.members.all() {
		if m.Level < b.Level {
			return refuse(CodeNotReady, "member %s knows feature level %d only", m.Name, m.Level)
		}
	}
	if s.members.len() == 0 {
		return refuse(CodeNotReady, "no member has announced itself")
	}
	s.Level = b.Level
	return nil
}

func (Snapshots) kind() string { return "snapshots" }

// apply takes each snapshot on its own: one that is refused is counted, its
// reason is kept with its host, and it does not hold up the others.
func (b Snapshots) apply(s *State, _ Meta, _ *Command) error {
	for i := range b.Batch {
		snap := &b.Batch[i]
		err := s.take(snap)
		if err == nil {
			s.Accepted++
			continue
		}
		s.Rejected++
		if h, ok := s.hosts.get(snap.Host); ok {
			h.Refused, h.RefusedAt = RefusalOf(err), s.Now
			s.hosts = s.hosts.set(h.ID, h)
		}
	}
	return nil
}

func (s *State) take(given *Snapshot) error {
	whole := *given // amend completes it; the command stays as it is
	snap := &whole
	if err := snap.check(); err != nil {
		return err
	}
	member, ok := s.members.get(snap.Host)
	host, isHost := s.hosts.get(snap.Host)
	if !ok || !isHost {
		return refuse(CodeUnknownHost, "%s has not announced itself as a hypervisor", snap.Host)
	}
	if snap.Incarnation != member.Incarnation {
		return refuse(CodeStaleIncarnation, "host %s: snapshot of start %d, the present one is %d", member.Name, snap.Incarnation, member.Incarnation)
	}
	if snap.Sequence <= host.Seq {
		return refuse(CodeStaleSequence, "host %s: snapshot %d after %d", member.Name, snap.Sequence, host.Seq)
	}
	if ahead := snap.Load.TakenAt.Sub(s.Now); ahead > MaxAhead {
		return refuse(CodeClockSkew, "host %s: snapshot taken %v in the future", member.Name, ahead.Round(time.Millisecond))
	}
	if snap.Inventory == nil && snap.Load.Inventory != host.Inventory.Revision ||
		snap.Inventory != nil && snap.Load.Inventory != snap.Inventory.Revision {
		return refuse(CodeUnknownInventory, "host %s: figures refer to inventory %d", member.Name, snap.Load.Inventory)
	}
	if err := snap.amend(&host, member.Name); err != nil {
		return err
	}
	if snap.Inventory != nil {
		s.place(host.ID, host.Inventory.VMs, snap.Inventory.VMs)
		host.trend.regroup(host.Inventory.VMs, snap.Inventory.VMs, s.Now)
		host.lives.regroup(host.Inventory.VMs, snap.Inventory.VMs)
		host.Inventory = *snap.Inventory
	}
	host.accept(snap, s.Now, s)
	s.hosts = s.hosts.set(host.ID, host)
	return nil
}

// MaxAhead is how far in the future a host's clock may put a snapshot. Skew up
// to it is tolerated, since ages are judged by the State's time alone.
const MaxAhead = time.Minute

// place updates which hosts report which VMs after a host's set changed.
func (s *State) place(host string, before, after []VM) {
	stays := make(map[string]struct{}, len(after))
	for _, vm := range after {
		if !vm.Incoming {
			stays[vm.UUID] = struct{}{}
		}
	}
	was := make(map[string]struct{}, len(before))
	var came, went []string
	for _, vm := range before {
		if vm.Incoming {
			continue
		}
		was[vm.UUID] = struct{}{}
		if _, ok := stays[vm.UUID]; !ok {
			went = append(went, vm.UUID)
		}
	}
	for _, vm := range after {
		if _, ok := was[vm.UUID]; !ok && !vm.Incoming {
			came = append(came, vm.UUID)
		}
	}
	s.sight(host, came, went)
	for _, vm := range before {
		if _, ok := stays[vm.UUID]; !ok {
			s.displace(vm.UUID, host)
		}
	}
	for _, vm := range after {
		if vm.Incoming {
			continue
		}
		p, known := s.places.get(vm.UUID)
		if !known {
			p.SeenAt = s.Now
		}
		p.Hosts = with(p.Hosts, host)
		s.places = s.places.set(vm.UUID, p)
	}
}

// displace forgets that a host reports a VM, and forgets the VM when nobody
// does and no live move holds it.
func (s *State) displace(vm, host string) {
	p, ok := s.places.get(vm)
	if !ok {
		return
	}
	p.Hosts = withoutHost(p.Hosts, host)
	if _, held := s.live.get(vm); len(p.Hosts) == 0 && !held {
		s.places = s.places.without(vm)
		return
	}
	s.places = s.places.set(vm, p)
}

// with returns the sorted set with host in it; the given slice is not touched.
func with(hosts []string, host string) []string {
	out := make([]string, 0, len(hosts)+1)
	for _, h := range hosts {
		if h == host {
			return hosts
		}
		if h < host {
			out = append(out, h)
		}
	}
	out = append(out, host)
	for _, h := range hosts {
		if h > host {
			out = append(out, h)
		}
	}
	return out
}

func withoutHost(hosts []string, host string) []string {
	out := make([]string, 0, len(hosts))
	for _, h := range hosts {
		if h != host {
			out = append(out, h)
		}
	}
	return out
}
