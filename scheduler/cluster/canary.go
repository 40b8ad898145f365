package cluster

import (
	"fmt"
	"slices"
)

// A network's name proves nothing: bridges of one name may lie in different
// networks, and no host can see that of another. So the first move between two
// hosts over a network is a canary: evenkeel makes it while no other is in
// flight, and makes no further one between them over that network until the VM
// has been seen to live on. Whichever way a VM went, it proves both.

// Networks says what equal names of networks mean.
type Networks string

// What they may mean.
const (
	NetworksTested Networks = "tested" // nothing, until a move has shown it; "" is the same
	NetworksStated Networks = "stated" // the same network: an operator says so
)

func (n Networks) valid() bool {
	return n == "" || n == NetworksTested || n == NetworksStated
}

// maxNetworks bounds the networks of one VM that are looked at.
const maxNetworks = 64

// Networks lists what a VM's interfaces are plugged into, if another host must
// have the same: sorted, each once.
func (n *Need) Networks() []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, l := range n.Links {
		switch l.Kind {
		case "bridge", "network", "direct":
			out = append(out, l.Kind+" "+l.Name)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxNetworks)]
}

// Path is two hosts, whichever way, and a network that they both have.
type Path struct{ A, B, Network string }

// PathOf is the path between two hosts over a network.
func PathOf(a, b, network string) Path { return Path{min(a, b), max(a, b), network} }

// Trial is what moves have shown of a path.
type Trial struct {
	Result TrialResult
	Move   string // the one that has shown it
}

// TrialResult says how a trial ended, if it has.
type TrialResult int

// The results.
const (
	Untested TrialResult = iota
	Awaited              // a VM went; whether it lives on is not known yet
	Proven
	Suspected // a VM went, and showed no sign of life
)

// Trials says what moves have shown of the paths that they took; of the others
// nothing is known. The newest that says something counts.
func (s State) Trials() map[Path]Trial {
	out := map[Path]Trial{}
	judged := map[Path]bool{}
	for _, m := range s.moves.backward() {
		result := m.shows(s)
		if result == Untested {
			continue
		}
		for _, network := range m.Networks {
			p := PathOf(m.Source, m.Target, network)
			switch known := out[p]; {
			case judged[p]:
			case result == Proven, result == Suspected && known.Result == Untested:
				out[p], judged[p] = Trial{result, m.ID}, true
			case result == Suspected:
				judged[p] = true // a later one is awaited, which may prove it
			case known.Result == Untested:
				out[p] = Trial{result, m.ID}
			}
		}
	}
	return out
}

// shows is what a move has shown of its paths.
func (m Move) shows(s State) TrialResult {
	switch {
	case m.State != MoveDone || m.Try:
		return Untested
	case m.VerifiedAt == 0 && !m.Verifiable(s.Settings, s.Now):
		return Untested
	case m.VerifiedAt == 0:
		return Awaited
	case m.Verdict != VerdictSuspect:
		return Proven
	case m.Measured != nil:
		return Suspected
	}
	return Untested // nothing could be measured
}

// Tests says whether a move over these networks would be the first on a path.
func (s State) Tests(trials map[Path]Trial, source, target string, networks []string) bool {
	return s.Settings.Networks != NetworksStated && slices.ContainsFunc(networks, func(n string) bool {
		return trials[PathOf(source, target, n)].Result != Proven
	})
}

// Canary says why evenkeel may not move a VM of these networks between two hosts
// by itself, or nil. Trials are the State's, inFlight the moves that are.
func (s State) Canary(trials map[Path]Trial, source, target string, networks []string, inFlight int) *Refusal {
	for _, n := range networks {
		t := trials[PathOf(source, target, n)]
		between := fmt.Sprintf("between %s and %s over %s", clipName(s.HostName(source)), clipName(s.HostName(target)), clipName(n))
		switch {
		case t.Result == Suspected:
			return refusal(CodeCanary, "the VM of the last move %s, %s, showed no sign of life", between, t.Move)
		case s.Settings.Networks == NetworksStated || t.Result == Proven:
		case t.Result == Awaited:
			return refusal(CodeCanary, "%s was the first move %s, and its VM has not been seen to live on yet", t.Move, between)
		case inFlight > 0:
			return refusal(CodeCanary, "it would be the first move %s, which is made alone: %d in flight", between, inFlight)
		}
	}
	return nil
}

// Alone says why no further move may begin by itself while a canary flies, or
// nil.
func (s State) Alone() *Refusal {
	for m := range s.Live() {
		if m.Canary && m.State != MoveUnknown {
			return refusal(CodeCanary, "%s is the first move between %s and %s over one of its VM's networks, and is made alone", m.ID, clipName(s.HostName(m.Source)), clipName(s.HostName(m.Target)))
		}
	}
	return nil
}

// checkCanary holds an automatic order against what moves have shown of its
// path.
func (s *State) checkCanary(o Order) error {
	if r := s.Alone(); r != nil {
		return r
	}
	_, inFlight := s.InFlight("")
	if r := s.Canary(s.Trials(), o.Source, o.Target, s.networksOf(o), inFlight); r != nil {
		return r
	}
	return nil
}

// networksOf are the networks of an order's VM, as its host has described it.
func (s *State) networksOf(o Order) []string {
	d, ok := s.descriptions.get(o.Source)
	if !ok {
		return nil
	}
	return d.Need(o.VM).Networks()
}
