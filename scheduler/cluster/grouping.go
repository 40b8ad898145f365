package cluster

// Group is a rule about where VMs may be, with those that it is for.
type Group struct {
	Rule  Rule
	Seats []Seat
	Share int // how many of them a zone may have, of a rule of kind spread
	// Broken is by how many VMs the rule is broken: those that are somewhere else
	// than a pin says or most of their group, or are too many on a host or in a
	// zone. A move changes it by one or not at all, as [Ruling.Bent] says.
	Broken int
}

// Seat is where a VM is or goes. Who is on a host that is drained counts for no
// affinity.
type Seat struct {
	VM, Host string
	Drained  bool
}

// Groups are those of all rules but those that keep VMs where they are.
func (r *Ruling) Groups() (out []Group) {
	if r == nil {
		return nil
	}
	for i, rule := range r.rules {
		if rule.Kind == RuleIgnore {
			continue
		}
		g := Group{Rule: rule, Broken: r.broken(i)}
		if rule.Kind == RuleSpread {
			g.Share = r.share(i)
		}
		for _, m := range r.members[i] {
			g.Seats = append(g.Seats, Seat{m.vm, m.host, r.drained[m.host]})
		}
		out = append(out, g)
	}
	return out
}

// Broken is by how many VMs all rules are broken, see Group.
func (r *Ruling) Broken() (n int) {
	if r == nil {
		return 0
	}
	for i := range r.rules {
		n += r.broken(i)
	}
	return n
}

func (r *Ruling) broken(i int) (n int) {
	switch r.rules[i].Kind {
	case RulePin:
		for host, k := range r.count(i, func(host string) string { return host }) {
			if !r.rules[i].Allows(r.hosts[host]) {
				n += k
			}
		}
	case RuleAntiAffinity:
		for _, k := range r.count(i, func(host string) string { return host }) {
			n += k - 1
		}
	case RuleSpread:
		share := r.share(i)
		for _, k := range r.count(i, r.Zone) {
			n += max(k-share, 0)
		}
	case RuleAffinity:
		most := 0
		for host, k := range r.count(i, func(host string) string { return host }) {
			if !r.drained[host] {
				n, most = n+k, max(most, k)
			}
		}
		n -= most
	}
	return n
}

// count counts the VMs of a rule by where they are.
func (r *Ruling) count(i int, where func(host string) string) map[string]int {
	count := map[string]int{}
	for _, m := range r.members[i] {
		count[where(m.host)]++
	}
	return count
}

// share is how many of a rule's VMs a zone may have.
func (r *Ruling) share(i int) int { return (r.sizes[i] + r.zones - 1) / r.zones }

// Done takes a move that [Ruling.Go] took as under way as ended: others of its
// group need wait for it no longer.
func (r *Ruling) Done(vm string) {
	if r != nil {
		delete(r.busy, vm)
	}
}
