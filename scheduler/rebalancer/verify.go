package rebalancer

import (
	"fmt"
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
		if m.State != cluster.MoveDone || m.VerifiedAt != 0 || age < s.Settings.Settle || !m.Verifiable(s.Settings, now) {
			continue
		}
		late := age > 2*s.Settings.Settle+time.Minute
		if f, ok := verify(s, m, now); ok {
			if !f.mayWake || late {
				out = append(out, f.Verify)
			}
		} else if late {
			out = append(out, cluster.Verify{Move: m.ID, Verdict: cluster.VerdictSuspect, Text: "no figures of the VM, the source and the target since the move"})
		}
	}
	return out
}

// verify compares what was measured after a move with what was before.
func verify(s cluster.State, m cluster.Move, now cluster.Time) (finding, bool) {
	e, ok := measure(s, m, undisturbed(s, m, m.Source, now), undisturbed(s, m, m.Target, now), now)
	if ok {
		return judge(m, e, drift(s, m, now)), true
	}
	// Other moves followed at once. Their doing is in the figures as well, which
	// is better than none, as long as it is said.
	all := span{m.EndedAt, now}
	if e, ok = measure(s, m, all, all, now); !ok {
		return finding{}, false
	}
	v := judge(m, e, drift(s, m, now))
	v.Code = cluster.CodeDisturbed
	v.Text += "; other moves touched its hosts meanwhile"
	return v, true
}

// undisturbed is the time after a move in which no other one touched a host:
// later figures are that one's doing as well.
func undisturbed(s cluster.State, m cluster.Move, host string, now cluster.Time) span {
	p := span{m.EndedAt, now}
	for _, other := range s.MovesBackward() {
		if other.OrderedAt < m.OrderedAt {
			break
		}
		if other.ID != m.ID && other.StartedAt > m.EndedAt && (other.Source == host || other.Target == host) {
			p.until = min(p.until, other.StartedAt)
		}
	}
	return p
}

// drift is by how much contention rose meanwhile on the hosts that no move
// touched: what the hour does to all, a move is not to blame for. 0 unless
// there are whole minutes of before and after.
func drift(s cluster.State, m cluster.Move, now cluster.Time) cluster.Ratio {
	before := span{m.OrderedAt.Add(-now.Sub(m.EndedAt)), m.OrderedAt}
	touched := map[string]bool{}
	for _, other := range s.MovesBackward() {
		if other.State.Live() || other.EndedAt > before.from {
			touched[other.Source], touched[other.Target] = true, true
		}
	}
	var rise, n int64
	for id, h := range s.Hosts() {
		was, ok1 := before.host(h)
		is, ok2 := span{m.EndedAt, now}.host(h)
		if !touched[id] && h.Fresh(now) && ok1 && ok2 {
			rise += int64(is.pain) - int64(was.pain)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return max(cluster.Ratio(rise/n), 0)
}

// finding is what was found of a move.
type finding struct {
	cluster.Verify
	// mayWake says that the VM is silent in a way that one window does not prove.
	mayWake bool
}

// judge says whether a move helped. A VM that gives no sign of life has nothing
// to wait for: it shows no steal, and that is not better. What the move did to
// those on the target counts against what it did for the VM.
func judge(m cluster.Move, e cluster.Effect, drift cluster.Ratio) finding {
	gain := e.VMContentionBefore + drift - e.VMContentionAfter
	harm := e.TargetContentionAfter - max(e.TargetContentionBefore+drift, e.VMContentionAfter)
	f := finding{}
	lost, mayWake := silence(e)
	e.VMRequestsAfter, e.VMReceivedAfter = max(e.VMRequestsAfter, 0), max(e.VMReceivedAfter, 0)
	v := &f.Verify
	*v = cluster.Verify{Move: m.ID, Measured: &e}
	v.Text = fmt.Sprintf("contention of the VM: %v before, %v predicted, %v measured",
		e.VMContentionBefore, m.Predicted.VMContentionAfter, e.VMContentionAfter)
	if drift > 0 {
		v.Text += fmt.Sprintf("; on untouched hosts it rose by %v", drift)
	}
	switch {
	case lost != "":
		v.Verdict, f.mayWake = cluster.VerdictSuspect, mayWake
		v.Text = fmt.Sprintf("no sign of life: %s; %s", lost, v.Text)
	case -gain > sameWithin:
		v.Verdict = cluster.VerdictWorse
	case harm > max(gain, sameWithin):
		v.Verdict = cluster.VerdictWorse
		v.Text += fmt.Sprintf("; others on the target wait more: %v before, %v measured", e.TargetContentionBefore, e.TargetContentionAfter)
	case gain > sameWithin:
		v.Verdict = cluster.VerdictBetter
	default:
		v.Verdict = cluster.VerdictSame
	}
	return f
}
