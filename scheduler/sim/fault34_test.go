package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// Cases of the numbered list of faults that are the planner's.

// swing is a fleet on which there is no lasting place for one VM: it never
// sleeps, and where it is not the other host is idle. Each host has a VM that
// is busy for one half of a period, in turns, from a phase on; these two are too
// large to be put together, which would settle it.
type swing struct {
	profile  cluster.Profile
	cooldown time.Duration
	period   time.Duration
	phase    time.Duration // how far into a half the run begins
	length   time.Duration
}

func (w swing) String() string {
	return fmt.Sprintf("%s, cooldown %v, period %v, phase %v", w.profile, w.cooldown, w.period, w.phase)
}

// scenario has no bounds but the hold and the cooldown: budgets would hide
// what they let through.
func (w swing) scenario() sim.Scenario {
	set := cluster.DefaultSettings()
	set.Profile, set.Cooldown, set.WarmUp, set.PerHour, set.PerDay = w.profile, w.cooldown, 0, 10_000, 100_000
	s := sim.Scenario{Name: w.String(), For: w.length, Seed: 1, Settings: set}
	for _, host := range []string{"hv1", "hv2"} {
		s.Hosts = append(s.Hosts, sim.Host{Name: host, CPUs: 1000, Memory: 8 * cluster.GiB, Link: cluster.BytesPerSecond(500 * cluster.MiB)})
	}
	vm := func(name, on string, memory cluster.Bytes, cpu cluster.MilliCPU) sim.VM {
		return sim.VM{Name: name, On: on, VCPUs: 1, Memory: memory, Work: sim.Work{CPU: cpu}}
	}
	s.VMs = []sim.VM{vm("roams", "hv1", 256*cluster.MiB, 1000), vm("a", "hv1", 5*cluster.GiB, 1000), vm("b", "hv2", 5*cluster.GiB, 0)}
	busy := false
	for at := w.period/2 - w.phase; at < w.length; at += w.period / 2 {
		on := map[bool]cluster.MilliCPU{true: 1000, false: 0}
		s.Events = append(s.Events, sim.Event{At: at, VM: "a", Work: sim.Work{CPU: on[busy]}}, sim.Event{At: at, VM: "b", Work: sim.Work{CPU: on[!busy]}})
		busy = !busy
	}
	return s
}

// play plays a swing by the planner that is live.
func (w swing) play(t *testing.T) sim.Outcome {
	t.Helper()
	o, err := sim.Run(w.scenario(), "demand")
	if err != nil {
		t.Fatalf("%v: %v", w, err)
	}
	return o
}

// hasty finds a VM that moved again, or came back, before its rest was over:
// the cooldown, doubled with each further move. It also counts each VM's moves.
func (w swing) hasty(o sim.Outcome) (why string, most int) {
	last, moves := map[string]time.Duration{}, map[string]int{}
	for _, m := range o.Moves {
		if n := moves[m.VM]; n > 0 {
			if rest := w.cooldown << min(n-1, 5); m.At-last[m.VM] < rest {
				why = fmt.Sprintf("%s moved %v after its move %d, it was to rest for %v", m.VM, m.At-last[m.VM], n, rest)
			}
		}
		last[m.VM] = m.At
		moves[m.VM]++
		most = max(most, moves[m.VM])
	}
	return why, most
}

// bound is how many moves of one VM fit between rests that double.
func (w swing) bound() int {
	n := 1
	for at := w.cooldown; at < w.length; at += w.cooldown << min(n-1, 5) {
		n++
	}
	return n
}

// The load goes to and fro at the period of decisions, at half and twice of it,
// with the period of the hold and of the window over which loads are measured,
// each from four phases. Nobody chases it: a VM rests for its cooldown, which
// doubles, and what swings faster than the hold of `steady` moves nothing.
func TestFault34OscillatingLoad(t *testing.T) {
	periods := map[cluster.Profile][]time.Duration{
		// decisions each second, hold 3 s, window 10 s, hold at 1.2 times the threshold 15 s
		cluster.ProfileFast: {time.Second / 2, time.Second, 2 * time.Second, 3 * time.Second, 6 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute},
		// hold 3 min
		cluster.ProfileSteady: {time.Second, 10 * time.Second, 90 * time.Second, 3 * time.Minute, 6 * time.Minute, 12 * time.Minute},
	}
	steady := cluster.Settings{Profile: cluster.ProfileSteady}
	chased := 0
	for profile, all := range periods {
		for _, period := range all {
			for quarter := range 4 {
				w := swing{profile, 3 * time.Minute, period, period / 8 * time.Duration(quarter), time.Hour}
				o := w.play(t)
				why, most := w.hasty(o)
				if why != "" || most > w.bound() {
					t.Errorf("%v: %d moves of one VM, at most %d fit: %s", w, most, w.bound(), why)
				}
				if profile == cluster.ProfileSteady && period/2 < steady.Sustained() && len(o.Moves) > 0 {
					t.Errorf("%v: %d moves for a load that is over before the hold is: %+v", w, len(o.Moves), o.Moves)
				}
				chased += o.PingPong
			}
		}
	}
	t.Logf("%d returns to a host that was left, each after its rest", chased)
}

// Without a cooldown the same load is chased: so the test above can fail, and
// it is the cooldown that keeps it from failing.
func TestFault34WithoutCooldownItIsChased(t *testing.T) {
	w := swing{profile: cluster.ProfileFast, period: time.Minute, length: time.Hour}
	bound := swing{cooldown: 3 * time.Minute, length: w.length}.bound()
	if o := w.play(t); o.PingPong <= 2*bound {
		t.Errorf("%v: %d returns in %v, and with a cooldown of 3 min there may be %d", w, o.PingPong, w.length, bound)
	}
}
