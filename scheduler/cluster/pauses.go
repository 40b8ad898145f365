package cluster

import (
	"slices"
	"time"
)

// PartPause is an operator's stop, with an expiry, of what evenkeel does by
// itself to one VM, or to all that come to a host or leave it.
type PartPause struct {
	Host string `json:"host,omitempty"` // member id
	VM   string `json:"vm,omitempty"`
	Paused
}

// MaxPauses bounds the hosts and VMs that are paused at a time.
const MaxPauses = 1000

// PartPauses lists the hosts and VMs that are paused now, in the order in which
// they were.
func (s State) PartPauses() []PartPause {
	return slices.DeleteFunc(slices.Clone(s.Pauses), func(p PartPause) bool { return p.Until <= s.Now })
}

// PausedPart says why nothing may be done to a VM, or to a host's VMs, that
// nobody asked for, or nil. The other one of host and vm is "".
func (s State) PausedPart(host, vm, name string) *Refusal {
	for _, p := range s.Pauses {
		if p.Host == host && p.VM == vm && p.Until > s.Now {
			return refusal(CodePaused, "%s is paused by %s until %s%s", name, p.By, p.Until.Std().Format(time.RFC3339), because(p.Text))
		}
	}
	return nil
}

// pausePart pauses a host or VM, in place of an earlier pause of it.
func (s *State) pausePart(part PartPause) error {
	_, host := s.hosts.get(part.Host)
	_, vm := s.places.get(part.VM)
	switch {
	case part.Host != "" && part.VM != "":
		return refuse(CodeAbsurdFigure, "a pause is of a host or of a VM, not of both")
	case part.Host != "" && !host:
		return refuse(CodeUnknownHost, "%.40s is no hypervisor", part.Host)
	case part.VM != "" && !vm:
		return refuse(CodeUnknownVM, "no host reports VM %.40q", part.VM)
	}
	pauses := s.without(part.Host, part.VM)
	if len(pauses) >= MaxPauses {
		return refuse(CodeTooMany, "%d hosts and VMs are paused already", len(pauses))
	}
	s.Pauses = append(pauses, part)
	return nil
}

// without are the pauses in force, but for one of a host or VM.
func (s *State) without(host, vm string) []PartPause {
	return slices.DeleteFunc(s.PartPauses(), func(p PartPause) bool { return p.Host == host && p.VM == vm })
}
