package cluster

import (
	"slices"
	"time"
)

// undoFor is how long after its verification a move is still worth taking back.
const undoFor = 24 * time.Hour

// Regretted finds the moves that made things worse and are not taken back yet:
// each is the last one of its VM, which is still where it brought it. What
// other moves had a part in proves nothing, and an undoing is not undone.
func (s State) Regretted(now Time) []Move {
	var out []Move
	later := map[string]bool{}
	for _, m := range s.MovesBackward() {
		if now.Sub(m.OrderedAt) > 2*undoFor {
			break
		}
		if m.Try || m.State != MoveDone && m.StartedAt == 0 {
			continue // it touched nothing
		}
		p, _ := s.places.get(m.VM)
		worse := m.State == MoveDone && m.Verdict == VerdictWorse && m.WhyCode != CodeDisturbed && now.Sub(m.VerifiedAt) < undoFor
		if worse && m.Code != CodeUndo && !later[m.VM] && slices.Equal(p.Hosts, []string{m.Target}) {
			out = append(out, m)
		}
		later[m.VM] = true
	}
	return out
}

// Undoable says why evenkeel does not take a regretted move back by itself, or
// nil: without the policy's word, what a person ordered, and a second time it
// only recommends it.
func (s State) Undoable(m Move) *Refusal {
	switch {
	case !s.Settings.AutoUndo:
		return refusal(CodeUndo, "%s made things worse, and to take it back is recommended: `evenkeel migrate %s %s`; with `evenkeel policy set auto_undo=true` evenkeel does so by itself", m.ID, m.VMName, s.HostName(m.Source))
	case m.Trigger != TriggerAuto:
		return refusal(CodeUndo, "%s made things worse, and to take it back is recommended; an operator had ordered it", m.ID)
	}
	for _, o := range s.moves.backward() {
		if o.Seq <= m.Seq {
			break
		}
		if o.VM == m.VM && o.Code == CodeUndo {
			return refusal(CodeUndo, "%s made things worse, and to take it back is recommended; evenkeel has tried once, by %s", m.ID, o.ID)
		}
	}
	return nil
}

// Withheld says why an order of evenkeel's own would not be taken now, or nil.
func (s State) Withheld(o Order) *Refusal {
	vm, err := s.movable(o)
	if err == nil {
		err = s.checkAutomatic(o, vm)
	}
	return RefusalOf(err)
}

// checkUndo asks that an order that says so takes a regretted move back: it is
// spared the cooldown.
func (s *State) checkUndo(o Order) error {
	for _, m := range s.Regretted(s.Now) {
		if m.VM != o.VM || m.Target != o.Source || m.Source != o.Target {
			continue
		}
		if r := s.Undoable(m); r != nil {
			return r
		}
		return nil
	}
	return refuse(CodeStalePlan, "order %s: no move of the VM from %s to %s is to be taken back", o.ID, s.HostName(o.Target), s.HostName(o.Source))
}
