package rebalancer

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// sameWithin is how much the VM's steal may differ from before and still
// count as the same: about what a ten-second window wobbles by.
const sameWithin = cluster.Ratio(10_000) // 1 point

// verifications are the moves that have settled and can be measured, or have
// waited so long that they never will be. What ended before the fleet was
// leaderless for long is left alone: figures of now say nothing about it.
func verifications(s cluster.State, now cluster.Time) []cluster.Body {
	var out []cluster.Body
	for _, m := range s.MovesBackward() {
		// All are looked at: one that is live, or that was resolved late, may be
		// younger than one that has just ended.
		age := now.Sub(m.EndedAt)
		if m.State != cluster.MoveDone || m.VerifiedAt != 0 || age < s.Settings.Settle || age > 10*s.Settings.Settle+time.Hour {
			continue
		}
		if e, ok := measure(s, m, now); ok {
			out = append(out, verdict(m, e))
		} else if age > 2*s.Settings.Settle+time.Minute {
			out = append(out, cluster.Verify{Move: m.ID, Verdict: cluster.VerdictSuspect, Text: "no figures of the VM, the source and the target since the move"})
		}
	}
	return out
}

// measure reads the same figures that were predicted, from windows that lie
// wholly after the move.
func measure(s cluster.State, m cluster.Move, now cluster.Time) (cluster.Effect, bool) {
	source, sourceOK := after(s, m.Source, m.EndedAt, now)
	target, targetOK := after(s, m.Target, m.EndedAt, now)
	if !sourceOK || !targetOK {
		return cluster.Effect{}, false
	}
	host, _ := s.Host(m.Target)
	i := slices.IndexFunc(host.Inventory.VMs, func(v cluster.VM) bool { return v.UUID == m.VM })
	if i < 0 || target.Inventory != host.Inventory.Revision {
		return cluster.Effect{}, false
	}
	vm, ok := target.VM(host.Inventory.VMs[i].Slot)
	if !ok {
		return cluster.Effect{}, false
	}
	e := m.Predicted
	e.VMContentionAfter = vm.Pain()
	e.SourceContentionAfter = source.Pain()
	e.TargetContentionAfter = target.Pain()
	e.Downtime, e.Bytes = m.Downtime, m.Bytes
	if m.StartedAt != 0 && m.JobEndedAt != 0 {
		e.Duration = m.JobEndedAt.Sub(m.StartedAt)
	}
	return e, true
}

func after(s cluster.State, id string, ended, now cluster.Time) (cluster.Load, bool) {
	h, ok := s.Host(id)
	if !ok || !h.Fresh(now) {
		return cluster.Load{}, false
	}
	b, _ := h.Last()
	return b.Load, b.Load.Source != cluster.SourceNone && b.At.Add(-b.Load.Window) >= ended
}

func verdict(m cluster.Move, e cluster.Effect) cluster.Verify {
	v := cluster.Verify{Move: m.ID, Measured: &e}
	switch d := e.VMContentionAfter - e.VMContentionBefore; {
	case d < -sameWithin:
		v.Verdict = cluster.VerdictBetter
	case d > sameWithin:
		v.Verdict = cluster.VerdictWorse
	default:
		v.Verdict = cluster.VerdictSame
	}
	v.Text = fmt.Sprintf("contention of the VM: %v before, %v predicted, %v measured",
		e.VMContentionBefore, m.Predicted.VMContentionAfter, e.VMContentionAfter)
	return v
}
