package cluster

import (
	"slices"
	"time"
)

// Foreign is a VM's change of host that no move of ours explains: a person or
// another program migrated it, or stopped it and started it elsewhere.
type Foreign struct {
	VM     string `json:"vm"`
	Source string `json:"source"` // member id
	Target string `json:"target"` // member id
	SeenAt Time   `json:"seen_at"`
}

// Sighting is a VM that a host began, or ceased, to report a moment ago. Two
// hosts' inventories come at different times: one alone is no change of host.
type Sighting struct {
	VM   string `json:"vm"`
	Host string `json:"host"`
	At   Time   `json:"at"`
	Gone bool   `json:"gone,omitempty"`
}

// Bounds of what is remembered of other hands' doing.
const (
	MaxForeign   = 256
	maxSightings = 512
	// sightingFor is how far apart two hosts' inventories may be that tell of one
	// change of host; a VM that is stopped here and started there in that time
	// counts as well.
	sightingFor = 2 * time.Minute
	// foreignFor is how long foreign moves are remembered: those of a day count
	// against a VM's budget, those of a week may be a drain that is taken back.
	foreignFor = 7 * 24 * time.Hour
)

// sight looks at what an inventory changed of where VMs are, before the places
// are brought up to date.
func (s *State) sight(host string, came, went []string) {
	for _, vm := range went {
		p, known := s.places.get(vm)
		if !known || s.ours(vm) {
			continue
		}
		switch others := withoutHost(p.Hosts, host); {
		case len(others) == 0:
			s.note(Sighting{vm, host, s.Now, true})
		case len(others) == 1 && s.sighted(vm, others[0], false):
			s.foreign(Foreign{vm, host, others[0], s.Now})
		}
	}
	for _, vm := range came {
		p, known := s.places.get(vm)
		switch {
		case s.ours(vm) || known && slices.Contains(p.Hosts, host):
		case known && len(p.Hosts) > 0:
			s.note(Sighting{vm, host, s.Now, false})
		default:
			if from, ok := s.left(vm, host); ok {
				s.foreign(Foreign{vm, from, host, s.Now})
			}
		}
	}
}

// ours says whether a live move, or one that has just ended, explains what is
// seen of a VM.
func (s *State) ours(vm string) bool {
	if _, live := s.live.get(vm); live {
		return true
	}
	p, _ := s.places.get(vm)
	if p.Moved != 0 && s.Now.Sub(p.Moved) < sightingFor {
		return true
	}
	for _, m := range s.moves.backward() {
		if s.Now.Sub(m.OrderedAt) > 24*time.Hour {
			break
		}
		if m.VM == vm && m.EndedAt != 0 && s.Now.Sub(m.EndedAt) < sightingFor {
			return true
		}
	}
	return false
}

func (s *State) note(n Sighting) {
	recent := slices.DeleteFunc(slices.Clone(s.Sightings), func(o Sighting) bool { return s.Now.Sub(o.At) >= sightingFor || o.VM == n.VM && o.Host == n.Host })
	if len(recent) >= maxSightings {
		recent = recent[1:]
	}
	s.Sightings = append(recent, n)
}

func (s *State) sighted(vm, host string, gone bool) bool {
	return slices.ContainsFunc(s.Sightings, func(n Sighting) bool {
		return n.VM == vm && n.Host == host && n.Gone == gone && s.Now.Sub(n.At) < sightingFor
	})
}

// left says which other host ceased to report a VM a moment ago.
func (s *State) left(vm, host string) (from string, ok bool) {
	for _, n := range s.Sightings {
		if n.VM == vm && n.Host != host && n.Gone && s.Now.Sub(n.At) < sightingFor {
			from, ok = n.Host, true
		}
	}
	return from, ok
}

// foreign takes note of a foreign move, and draws the consequences: figures of
// both hosts up to now say nothing about what follows, a host that is being
// emptied gets no VMs, and beside another balancer evenkeel only recommends.
func (s *State) foreign(f Foreign) {
	recent := slices.DeleteFunc(slices.Clone(s.Foreigns), func(o Foreign) bool { return s.Now.Sub(o.SeenAt) >= foreignFor })
	if len(recent) >= MaxForeign {
		recent = recent[1:]
	}
	s.Foreigns = append(recent, f)
	s.disturb(f.Source, f.Target)
	if n := s.emptied(f.Source, s.Now); n >= emptiedBy && !s.putBack(f) {
		s.cordonEmptied(f.Source, n)
	}
	if n := s.balancing(); n >= balancerMoves && !s.Frozen.holds(s.Now) {
		s.Frozen = Frozen{Since: s.Now, Cause: refusal("", "another balancer is at work: %d VMs were moved by other hands within an hour, and no host emptied by it; stop one of the two, then `evenkeel resume`", n).Text}
	}
}

// What other hands' moves are taken for.
const (
	emptiedBy     = 2                // moves away from a host within emptiedIn: somebody empties it
	emptiedIn     = 15 * time.Minute //
	balancerMoves = 3                // others within balancerIn: another balancer
	balancerIn    = time.Hour
)

// emptied counts the foreign moves off a host around an instant, 0 if VMs came
// to it as well: then nobody empties it.
func (s *State) emptied(host string, at Time) (n int) {
	for _, f := range s.Foreigns {
		if d := f.SeenAt.Sub(at); d > emptiedIn || d < -emptiedIn {
			continue
		}
		switch host {
		case f.Source:
			n++
		case f.Target:
			return 0
		}
	}
	return n
}

// putBack says whether a foreign move takes an earlier one back: people do that
// after a drain.
func (s *State) putBack(f Foreign) bool {
	return slices.ContainsFunc(s.Foreigns, func(o Foreign) bool {
		return o.VM == f.VM && o.Source == f.Target && o.SeenAt < f.SeenAt && s.emptied(o.Source, o.SeenAt) >= emptiedBy
	})
}

// balancing counts the foreign moves of the last hour that neither empty a host
// nor take that back; a cordoned host is being emptied, however slowly.
func (s *State) balancing() (n int) {
	for _, f := range s.Foreigns {
		if _, cordoned := s.cordonAt(f.Source); cordoned {
			continue
		}
		if s.Now.Sub(f.SeenAt) < balancerIn && f.SeenAt > s.ThawedAt && s.emptied(f.Source, f.SeenAt) < emptiedBy && !s.putBack(f) {
			n++
		}
	}
	return n
}

// cordonEmptied keeps VMs from a host that somebody empties, until an operator
// says that it takes some again.
func (s *State) cordonEmptied(host string, n int) {
	s.cordonItself(host, "%d VMs were moved away by other hands within %v", n, emptiedIn)
}
