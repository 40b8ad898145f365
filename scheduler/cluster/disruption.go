package cluster

import "time"

// Disruption is what a VM had to bear of moves within a day, whoever wanted
// them.
type Disruption struct {
	Moves    int
	Downtime time.Duration // Σ; what was not measured counts as predicted
	Longest  time.Duration // downtime of the worst of them
}

func (d *Disruption) add(m Move) {
	down := m.Downtime
	if down == 0 {
		down = m.Predicted.Downtime
	}
	d.Moves++
	d.Downtime += down
	d.Longest = max(d.Longest, down)
}

// Disruptions sums up by VM what the moves of the last 24 hours did to it,
// those of other hands among them.
func (s State) Disruptions() map[string]Disruption {
	out := map[string]Disruption{}
	for m := range s.disrupting() {
		d := out[m.VM]
		d.add(m)
		out[m.VM] = d
	}
	for _, f := range s.Foreigns {
		if s.Now.Sub(f.SeenAt) < 24*time.Hour {
			d := out[f.VM]
			d.Moves++ // what it cost is not known
			out[f.VM] = d
		}
	}
	return out
}

// disruption is that of one VM.
func (s State) disruption(vm string) (d Disruption) {
	for m := range s.disrupting() {
		if m.VM == vm {
			d.add(m)
		}
	}
	for _, f := range s.Foreigns {
		if f.VM == vm && s.Now.Sub(f.SeenAt) < 24*time.Hour {
			d.Moves++
		}
	}
	return d
}

// disrupting yields the moves that went through and ended within a day. One
// that was ordered more than a week ago has ended, or never will: a migration's
// budget is at most that.
func (s State) disrupting() func(yield func(Move) bool) {
	return func(yield func(Move) bool) {
		for _, m := range s.moves.backward() {
			if s.Now.Sub(m.OrderedAt) > 8*24*time.Hour {
				return
			}
			if m.State == MoveDone && s.Now.Sub(m.EndedAt) < 24*time.Hour && !yield(m) {
				return
			}
		}
	}
}

// Spent says why a VM that has borne so much within a day should bear no
// further move that nobody asked for, or nil. What the worst move of the day
// cost is what the next one is expected to.
func (s State) Spent(vm, name string, borne Disruption) *Refusal {
	rule, _ := s.VMRule(vm)
	moves, downtime := s.Settings.VMMovesPerDay, s.Settings.VMDowntimePerDay
	if rule.MovesPerDay != 0 {
		moves = rule.MovesPerDay
	}
	if rule.DowntimePerDay != 0 {
		downtime = rule.DowntimePerDay
	}
	switch {
	case moves != 0 && borne.Moves >= moves:
		return refusal(CodeVMBudget, "%s was moved %d times within a day, at most %d", name, borne.Moves, moves)
	case downtime != 0 && borne.Downtime+borne.Longest > downtime:
		return refusal(CodeVMBudget, "%s stood still for %v within a day and may for %v; its worst move took %v of it", name, borne.Downtime, downtime, borne.Longest)
	}
	return nil
}
