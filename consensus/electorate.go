package consensus

import (
	"cmp"
	"slices"
)

// candidate is a member as far as the choice of voters goes.
type candidate struct {
	member, address string
	zone            string // of failure; "" is one of its own
	witness         bool
	leads           bool
	votes           bool // in the present configuration
	seated          bool // in the present configuration, voting or not
	lost            bool // has not answered for long
}

// seating is who shall be in the Raft group: the first so many vote, the rest
// holds a replica and would vote next.
type seating struct {
	members []string
	voters  int
}

// voting lists the members that shall vote.
func (s seating) voting() []string { return s.members[:s.voters] }

// electorate chooses at most size members for the Raft group. It is a pure
// function, so that a new leader goes on where the old one stopped.
//
// The number of voters is odd: an even group loses its majority by as many
// losses as the next smaller odd one, and waits for one member more. So of two
// members one votes, and the other holds a replica: the loss of that one stops
// nothing, where with two voters the loss of either would.
//
// Members are taken one by one, each time the best of the rest: the leader
// stays, since a change of leader costs seconds without decisions; a member
// that answers before a lost one; in a zone of which the fewest were taken; a
// witness, whose host carries no VMs that could starve it; who votes already,
// who has a replica already. Ties go by id, so an unchanged fleet causes no
// change of voters.
func electorate(all []candidate, size int) seating {
	rest := slices.Clone(all)
	taken := make(map[string]int) // by zone
	zone := func(c candidate) string { return cmp.Or(c.zone, c.member) }
	var out seating
	for len(rest) > 0 && len(out.members) < size {
		best := 0
		for i, c := range rest[1:] {
			if b := rest[best]; ranks(c, b, taken[zone(c)], taken[zone(b)]) < 0 {
				best = i + 1
			}
		}
		out.members = append(out.members, rest[best].member)
		taken[zone(rest[best])]++
		rest = slices.Delete(rest, best, best+1)
	}
	out.voters = odd(len(out.members))
	return out
}

// ranks is negative if a comes before b, of whose zones so many were taken.
func ranks(a, b candidate, takenA, takenB int) int {
	return cmp.Or(
		first(a.leads, b.leads), first(!a.lost, !b.lost), cmp.Compare(takenA, takenB),
		first(a.witness, b.witness), first(a.votes, b.votes), first(a.seated, b.seated), cmp.Compare(a.member, b.member),
	)
}

// first puts what is true in front.
func first(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

// odd is the largest odd number that is not above n, 0 for 0.
func odd(n int) int {
	if n%2 == 0 {
		return max(n-1, 0)
	}
	return n
}
