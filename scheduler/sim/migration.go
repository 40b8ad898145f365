package sim

import (
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// migration is a live migration that runs: rounds of copying what was dirtied
// in the round before, until the rest fits into a short stop.
type migration struct {
	move     string // id
	guest    *guest
	from, to *machine
	began    time.Duration
	round    time.Duration // when the present round began
	left     cluster.Bytes // of the present round
	copied   cluster.Bytes
	stopAt   time.Duration // end of the downtime, 0 while it pre-copies
	downtime time.Duration
	budget   time.Duration

	over    bool
	moved   bool
	fails   cluster.Bytes // once so much is copied; 0: it does not
	sourced bool          // the source has reported the end
	attests bool          // the target has
}

// A migration may stop the VM for at most maxDowntime, QEMU's default, and
// switching over takes about switchover. Copying costs the CPU of each end: about
// half a CPU for a GiB a second.
const (
	maxDowntime    = 300 * time.Millisecond
	switchover     = 50 * time.Millisecond
	cpuPerGiBMilli = 500
)

// bandwidth is what a migration gets of the links, which are shared.
func (w *world) bandwidth(m *migration) cluster.BytesPerSecond {
	var from, to cluster.BytesPerSecond // how many share the links
	for _, other := range w.migrations {
		if !other.over && other.stopAt == 0 {
			for _, end := range []*machine{other.from, other.to} {
				switch end {
				case m.from:
					from++
				case m.to:
					to++
				}
			}
		}
	}
	got := min(m.from.Link/max(from, 1), m.to.Link/max(to, 1))
	if cap := w.state.Settings.Bandwidth; cap != 0 {
		got = min(got, cap)
	}
	return got
}

// step lets a tick of the migration pass.
func (w *world) step(m *migration) {
	bw := w.bandwidth(m)
	if m.stopAt != 0 {
		if w.now >= m.stopAt {
			w.switchOver(m)
		}
		return
	}
	tick := w.grain
	moved := min(cluster.Bytes(int64(bw)*int64(tick/time.Millisecond)/1000), m.left)
	m.left -= moved
	m.copied += moved
	cost := time.Duration(int64(moved) * cpuPerGiBMilli / 1000 * int64(time.Second) / int64(cluster.GiB))
	m.from.moving += cost
	m.to.moving += cost
	if w.now-m.began > m.budget || m.fails != 0 && m.copied >= m.fails {
		m.over = true // given up, or broken off: the VM stays
		return
	}
	if m.left > 0 {
		return
	}
	// The round is over: what was dirtied meanwhile is left.
	round := w.now + tick - m.round
	m.left = min(cluster.Bytes(int64(m.guest.Dirty)*int64(round/time.Millisecond)/1000), m.guest.Memory)
	m.round = w.now + tick
	if rest := time.Duration(int64(m.left) * int64(time.Second) / int64(bw)); rest <= maxDowntime {
		m.downtime = rest + switchover
		m.stopAt = w.now + tick + m.downtime
		m.copied += m.left
		m.guest.paused = true
	}
}

func (w *world) switchOver(m *migration) {
	m.over, m.moved, m.guest.paused = true, true, false
	w.rec.switched(w, m)
	m.from.give(m.guest)
	m.to.take(m.guest, w.now)
}

// agents let every end of a move do what is its to do: agree, claim, start,
// report. A silent one does nothing; its migration goes on.
func (w *world) agents() {
	for m := range w.state.Live() {
		from, to := w.machine(m.Source), w.machine(m.Target)
		run := w.migrationOf(m.ID)
		switch {
		case m.State == cluster.MoveOrdered && m.ReservedAt == 0:
			w.say(to, cluster.Reserve{Move: m.ID})
		case m.State == cluster.MoveOrdered:
			w.say(from, cluster.Claim{Move: m.ID, Incarnation: 1})
		case m.State == cluster.MoveClaimed:
			if w.say(from, cluster.Start{Move: m.ID}) {
				w.begin(m, from, to)
			}
		case run != nil && run.over:
			w.report(m, run)
		}
	}
}

func (w *world) begin(m cluster.Move, from, to *machine) {
	g := w.guest(m.VM)
	run := &migration{move: m.ID, guest: g, from: from, to: to, began: w.now, round: w.now, left: g.Memory, budget: m.Budget}
	if chance(w.scenario.Seed, uint64(g.slot), uint64(w.now)) < w.scenario.Failures.Float() {
		run.fails = max(cluster.Bytes(float64(g.Memory)*chance(uint64(w.now), w.scenario.Seed, uint64(g.slot))), 1)
	}
	w.migrations = append(w.migrations, run)
}

// report commits what both ends see once a job is over.
func (w *world) report(m cluster.Move, run *migration) {
	gone := cluster.Evidence{Presence: cluster.PresenceAbsent}
	runs := cluster.Evidence{Presence: cluster.PresenceRunning, Process: true}
	atSource, atTarget := runs, gone
	if run.moved {
		atSource, atTarget = gone, runs
	}
	if !run.sourced {
		run.sourced = w.say(run.from, cluster.EndJob{Move: m.ID, Aborted: !run.moved, Evidence: atSource})
	} else if !run.attests {
		run.attests = w.say(run.to, cluster.Testify{Move: m.ID, Evidence: atTarget, Downtime: run.downtime, Bytes: run.copied})
	}
}

func (w *world) migrationOf(move string) *migration {
	i := slices.IndexFunc(w.migrations, func(m *migration) bool { return m.move == move })
	if i < 0 {
		return nil
	}
	return w.migrations[i]
}
