package sim

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// tick is the grain of the simulation, if the scenario names no other.
const tick = 100 * time.Millisecond

// maxBacklog bounds the work that a vCPU can be late by: who asked for it has
// given up by then.
const maxBacklog = 2 * time.Second

// machine is a host at work.
type machine struct {
	Host
	id     string
	tick   time.Duration
	guests []*guest // sorted by slot
	agent  agent
	moving time.Duration // CPU time that migrations take in this tick
	pain   cluster.Ratio // as measured last
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
	course  course        // of what it asks for, if its work follows a trace

	active     int           // vCPUs that want something in this tick
	wants, got time.Duration // of each of those, in this tick
	counters                 // of one vCPU on average, since the start
	past       []counters    // by tick, as far back as the window reaches
}

type counters struct{ run, wait time.Duration }

// arrive lets the work of a tick come in. Evenly, or all of a period's work at
// its start; that of a trace vCPU by vCPU.
func (g *guest) arrive(now, tick time.Duration) {
	if g.Trace != nil {
		g.follow(now, tick)
		return
	}
	perVCPU := time.Duration(g.CPU) * tick / time.Duration(g.VCPUs) / 1000
	if g.Burst > 0 {
		periods := func(at time.Duration) int64 { return int64((at + g.phase) / g.Burst) }
		perVCPU = time.Duration(periods(now+tick)-periods(now)) * g.Burst * time.Duration(g.CPU) / time.Duration(g.VCPUs) / 1000
	}
	g.late = min(g.late+perVCPU, max(maxBacklog, g.Burst))
	g.wants, g.active = min(g.late, tick), g.VCPUs
	if g.paused {
		g.wants = 0
	}
}

// work divides the tick between the guests of a machine: everybody who still
// wants something gets the same for each of its shares, round after round, until
// nothing is left.
func (m *machine) work(tick time.Duration) {
	left := time.Duration(m.CPUs-m.Overhead)*tick/1000 - m.moving
	asked := time.Duration(0)
	for _, g := range m.guests {
		g.got = 0
		asked += g.wants * time.Duration(g.active)
	}
	if asked <= left {
		for _, g := range m.guests {
			g.got = g.wants
		}
		left = 0
	}
	unit := m.unit()
	for left > 0 {
		hungry := 0
		for _, g := range m.guests {
			if g.got < g.wants {
				hungry += g.active * g.shares() / unit
			}
		}
		if hungry == 0 || left < time.Duration(hungry) {
			break
		}
		part := left / time.Duration(hungry)
		for _, g := range m.guests {
			more := min(part*time.Duration(g.shares()/unit), g.wants-g.got)
			g.got += more
			left -= more * time.Duration(g.active)
		}
	}
	for _, g := range m.guests {
		g.account(tick)
	}
}

// unit is the largest number of which the shares of all guests are multiples: the
// rounds end once less is left than one time unit for each.
func (m *machine) unit() int {
	unit := 0
	for _, g := range m.guests {
		for rest := g.shares(); rest != 0; {
			unit, rest = rest, unit%rest
		}
	}
	return unit
}

func (g *guest) shares() int {
	if g.Shares == 0 {
		return int(cluster.UsualShares)
	}
	return int(g.Shares)
}

// account books the tick. A vCPU whose work is not done was runnable all the
// time; one whose work is done is taken not to have waited for it, since not
// all work really arrives when the tick begins.
func (g *guest) account(tick time.Duration) {
	part := time.Duration(g.active)
	if g.Trace == nil {
		part = time.Duration(g.VCPUs)
		g.late -= g.got
	} else {
		g.late -= g.got * part
	}
	g.run += g.got * part / time.Duration(g.VCPUs)
	if g.got < g.wants {
		g.wait += (tick - g.got) * part / time.Duration(g.VCPUs)
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
