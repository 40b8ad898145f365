package cluster

import (
	"cmp"
	"slices"
	"time"
)

// Cordon keeps VMs from coming to a host, and draining it has them leave.
type Cordon struct {
	Host  string `json:"host"` // member id
	Since Time   `json:"since"`
	By    string `json:"by"`
	Text  string `json:"text,omitempty"`
	Drain bool   `json:"drain,omitempty"`
}

// Return is an operator's wish that a VM come back to the host that was
// drained of it.
type Return struct {
	VM    string `json:"vm"`
	Host  string `json:"host"` // member id
	Since Time   `json:"since"`
	By    string `json:"by"`
}

type (
	// SetCordon cordons a host, or drains it. A host that is drained and is
	// cordoned again keeps the VMs that it still has.
	SetCordon struct {
		Host  string `json:"host"`
		Drain bool   `json:"drain,omitempty"`
		Text  string `json:"text,omitempty"`
	}

	// LiftCordon lets VMs come to a host again. Restore brings those back that
	// were drained from it.
	LiftCordon struct {
		Host    string `json:"host"`
		Restore bool   `json:"restore,omitempty"`
		Text    string `json:"text,omitempty"`
	}
)

// Bounds of what is asked for by operators.
const (
	MaxReturns = 2000
	// ReturnWithin is how long a VM is tried to be brought back.
	ReturnWithin = 24 * time.Hour
)

// Cordoned finds the cordon of a host.
func (s State) Cordoned(host string) (Cordon, bool) {
	i, ok := s.cordonAt(host)
	if !ok {
		return Cordon{}, false
	}
	return s.Cordons[i], true
}

func (s *State) cordonAt(host string) (int, bool) {
	return slices.BinarySearchFunc(s.Cordons, host, func(c Cordon, id string) int { return cmp.Compare(c.Host, id) })
}

// Returning lists the VMs that are still to be brought back, in the order in
// which they were asked for.
func (s State) Returning() []Return {
	var out []Return
	for _, r := range s.Returns {
		p, ok := s.places.get(r.VM)
		if ok && !slices.Contains(p.Hosts, r.Host) && s.Now.Sub(r.Since) < ReturnWithin {
			out = append(out, r)
		}
	}
	return out
}

func (SetCordon) kind() string { return "set-cordon" }

func (b SetCordon) apply(s *State, _ Meta, c *Command) error {
	if err := s.checkCordon(c, b.Host, b.Text); err != nil {
		return err
	}
	next := Cordon{Host: b.Host, Since: s.Now, By: c.Actor.who(), Text: b.Text, Drain: b.Drain}
	i, known := s.cordonAt(b.Host)
	if known {
		// What was drained before belongs to the same absence of the host.
		next.Since = s.Cordons[i].Since
	}
	cordons := slices.Clone(s.Cordons)
	if known {
		cordons[i] = next
	} else {
		cordons = slices.Insert(cordons, i, next)
	}
	s.Cordons = cordons
	s.Returns = slices.DeleteFunc(s.Returning(), func(r Return) bool { return r.Host == b.Host })
	return nil
}

func (LiftCordon) kind() string { return "lift-cordon" }

func (b LiftCordon) apply(s *State, _ Meta, c *Command) error {
	if err := s.checkCordon(c, b.Host, b.Text); err != nil {
		return err
	}
	i, known := s.cordonAt(b.Host)
	if !known {
		return nil // what was wanted is so
	}
	cordon := s.Cordons[i]
	s.Cordons = slices.Delete(slices.Clone(s.Cordons), i, i+1)
	s.Returns = s.Returning()
	if b.Restore {
		s.bringBack(cordon, c.Actor.who())
	}
	return nil
}

// cordonItself keeps VMs from a host without an operator's word, until one
// says that it takes some again. What an operator said of it stands.
func (s *State) cordonItself(host, format string, args ...any) {
	i, known := s.cordonAt(host)
	if known {
		return
	}
	s.Cordons = slices.Insert(slices.Clone(s.Cordons), i, Cordon{Host: host, Since: s.Now, By: "evenkeel", Text: refusal("", format, args...).Text})
}

// cordonRebooted keeps VMs from a host that was booted anew: why it was, and
// whether it will be again, somebody knows, but not evenkeel.
func (s *State) cordonRebooted(m Member) {
	s.cordonItself(m.ID, "it was booted anew; `evenkeel uncordon %s` when it is well", m.Name)
}

func (s *State) checkCordon(c *Command, host, text string) error {
	if c.Actor.Kind != KindOperator {
		return refuse(CodeNotYours, "only an operator cordons hosts")
	}
	if _, ok := s.hosts.get(host); !ok {
		return refuse(CodeUnknownHost, "%.40s is no hypervisor", host)
	}
	if len(text) > maxText {
		return refuse(CodeAbsurdFigure, "reason of %d bytes, at most %d", len(text), maxText)
	}
	return nil
}

// bringBack asks for every VM that was drained from a host since its cordon,
// the last one first: it found its new place when the others had theirs.
func (s *State) bringBack(cordon Cordon, by string) {
	asked := map[string]bool{}
	for _, r := range s.Returns {
		asked[r.VM] = true
	}
	for _, m := range s.moves.backward() {
		if m.OrderedAt < cordon.Since || len(s.Returns) >= MaxReturns {
			break
		}
		if m.Source != cordon.Host || m.Code != CodeDrain || m.State != MoveDone || asked[m.VM] {
			continue
		}
		asked[m.VM] = true
		s.Returns = append(s.Returns, Return{VM: m.VM, Host: cordon.Host, Since: s.Now, By: by})
	}
	s.Returns = s.Returning() // some went back by themselves
}

// settleReturn forgets the wish that a VM come back once a move has brought it
// back, or an operator's newer word has it elsewhere: a wish that stayed would
// bring it back from wherever it goes within a day.
func (s *State) settleReturn(m Move) {
	newer := m.Trigger == TriggerOperator && m.Code != CodeDrain && m.Code != CodeRestore
	s.Returns = slices.DeleteFunc(slices.Clone(s.Returns), func(r Return) bool {
		return r.VM == m.VM && (r.Host == m.Target || newer)
	})
	if len(s.Returns) == 0 {
		s.Returns = nil // as in a State that was read
	}
}

// uncordon forgets what was asked of a host that leaves the cluster.
func (s *State) uncordon(host string) {
	s.Pauses = s.without(host, "")
	if i, ok := s.cordonAt(host); ok {
		s.Cordons = slices.Delete(slices.Clone(s.Cordons), i, i+1)
	}
	s.Returns = slices.DeleteFunc(slices.Clone(s.Returns), func(r Return) bool { return r.Host == host })
}
