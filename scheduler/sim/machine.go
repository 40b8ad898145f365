package sim

import (
	"time"
)

// tick is the grain of the simulation.
const tick = 100 * time.Millisecond

// maxBacklog bounds the work that a vCPU can be late by: who asked for it has
// given up by then.
const maxBacklog = 2 * time.Second

// machine is a host at work.
type machine struct {
	Host
	id     string
	guests []*guest // sorted by slot
	agent  agent
	moving time.Duration // CPU time that migrations take in this tick
}

// guest is a VM at work. All its vCPUs are alike.
type guest struct {
	VM
	id      string
	slot    uint32
	home    *machine
	phase   time.Duration // of its bursts
	late    time.Duration // work of one vCPU that has arrived and is not done
	arrived time.Duration // on this host, since the start
	paused  bool          // in the downtime of a migration

	wants, got time.Duration // of one vCPU, in this tick
	counters                 // of one vCPU, since the start
	past       [ticksPerWindow + 1]counters
}

type counters struct{ run, wait time.Duration }

// arrive lets the work of a tick come in. Evenly, or all of a period's work at
// its start.
func (g *guest) arrive(now time.Duration) {
	perVCPU := time.Duration(g.CPU) * tick / time.Duration(g.VCPUs) / 1000
	if g.Burst > 0 {
		periods := func(at time.Duration) int64 { return int64((at + g.phase) / g.Burst) }
		perVCPU = time.Duration(periods(now+tick)-periods(now)) * g.Burst * time.Duration(g.CPU) / time.Duration(g.VCPUs) / 1000
	}
	g.late = min(g.late+perVCPU, max(maxBacklog, g.Burst))
	g.wants = min(g.late, tick)
	if g.paused {
		g.wants = 0
	}
}

// work divides the tick between the guests of a machine: everybody who still
// wants something gets the same, round after round, until nothing is left.
func (m *machine) work() {
	left := time.Duration(m.CPUs-m.Overhead)*tick/1000 - m.moving
	for _, g := range m.guests {
		g.got = 0
	}
	for {
		hungry := 0
		for _, g := range m.guests {
			if g.got < g.wants {
				hungry += g.VCPUs
			}
		}
		if hungry == 0 || left < time.Duration(hungry) {
			break
		}
		part := left / time.Duration(hungry)
		for _, g := range m.guests {
			more := min(part, g.wants-g.got)
			g.got += more
			left -= more * time.Duration(g.VCPUs)
		}
	}
	for _, g := range m.guests {
		g.account()
	}
}

// account books the tick. A vCPU whose work is not done was runnable all the
// time; one whose work is done is taken not to have waited for it, since not
// all work really arrives when the tick begins.
func (g *guest) account() {
	g.late -= g.got
	g.run += g.got
	if g.got < g.wants {
		g.wait += tick - g.got
	}
}

// take and give move a guest between machines.
func (m *machine) take(g *guest, now time.Duration) {
	i := 0
	for i < len(m.guests) && m.guests[i].slot < g.slot {
		i++
	}
	m.guests = append(m.guests[:i:i], append([]*guest{g}, m.guests[i:]...)...)
	g.home, g.arrived = m, now
	m.agent.revision++
}

func (m *machine) give(g *guest) {
	for i, h := range m.guests {
		if h == g {
			m.guests = append(m.guests[:i:i], m.guests[i+1:]...)
			m.agent.revision++
			return
		}
	}
}
