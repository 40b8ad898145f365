package sim

import (
	"math"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Peers are what the product's policies are held against, by name. None of
// them is a policy of the product.
//
//   - bound: all hosts' CPUs are one host. No placement waits less.
//   - foresight: a greedy that sees the future, and bears what moves cost.
//   - hbal-like: a greedy that evens hosts out, as Ganeti's hbal does.
var Peers = []string{"bound", "foresight", "hbal-like"}

// under is the scenario as it is to be played under a policy, the name for the
// record, and who plans, nil for the product.
func (s Scenario) under(policy string) (Scenario, string, planner) {
	switch policy {
	case "":
		return s, s.Settings.Policy, nil
	case "bound":
		s = s.pooled()
		s.Settings.Policy = "off"
		return s, policy, nil
	case "foresight":
		s.Settings.Policy = "off"
		return s, policy, foresee
	case "hbal-like":
		s.Settings.Policy = "off"
		return s, policy, evenOut
	}
	s.Settings.Policy = policy
	return s, policy, nil
}

// pooled is the scenario with all hosts in one.
func (s Scenario) pooled() Scenario {
	all := Host{Name: "all"}
	for _, h := range s.Hosts {
		all.CPUs += h.CPUs
		all.Overhead += h.Overhead
		all.Memory += h.Memory
		all.Link = max(all.Link, h.Link)
	}
	s.Hosts, s.VMs = []Host{all}, slices.Clone(s.VMs)
	for i := range s.VMs {
		s.VMs[i].On = all.Name
	}
	s.Events = slices.DeleteFunc(slices.Clone(s.Events), func(e Event) bool { return e.VM == "" })
	return s
}

// shift is a move that a peer looks at.
type shift struct {
	g        *guest
	from, to *machine
}

func (s shift) result() scheduler.Result {
	return scheduler.Result{Moves: []scheduler.Step{{VM: s.g.id, VMName: s.g.Name, Source: s.from.id, Target: s.to.id}}}
}

// free lists the moves off a machine that memory and moves in flight leave
// open. A VM is moved again once its cooldown is over: peers are held to it too.
func (w *world) free(from *machine, room map[*machine]cluster.Bytes, visit func(shift)) {
	if _, open := room[from]; !open {
		return
	}
	for _, to := range w.machines {
		room, open := room[to]
		if to == from || !open {
			continue
		}
		for _, g := range from.guests {
			if _, live := w.state.LiveMove(g.id); live {
				continue
			}
			rested := g.arrived == 0 || w.now-g.arrived >= w.state.Settings.Cooldown
			if rested && g.Memory+cluster.VMOverhead <= room {
				visit(shift{g, from, to})
			}
		}
	}
}

// room is the memory that is free on the machines that may have another move.
func (w *world) room() map[*machine]cluster.Bytes {
	room := map[*machine]cluster.Bytes{}
	for _, m := range w.machines {
		if n, all := w.state.InFlight(m.id); n < w.state.Settings.PerHost && all < w.state.Settings.PerCluster {
			room[m] = w.state.Settings.Room(m.Memory) - w.state.Charge(m.id).Most
		}
	}
	return room
}

// leastGain is a gain in spread that is no mere noise: two hosts of twenty,
// each a point nearer to the others.
const leastGain = 0.001

// evenOut lowers the spread of the hosts' use of CPU and memory, as it was on
// average in the last interval, by the move that lowers it most.
func evenOut(w *world) scheduler.Result {
	cpu, memory := make([]float64, len(w.machines)), make([]float64, len(w.machines))
	index := map[*machine]int{}
	for i, m := range w.machines {
		index[m] = i
		cpu[i] = m.Overhead.CPUs() / m.CPUs.CPUs()
		memory[i] = float64(w.state.Charge(m.id).Most) / float64(m.Memory)
	}
	for _, g := range w.guests {
		i := index[g.home]
		cpu[i] += w.rec.use(g) / w.machines[i].CPUs.CPUs()
	}
	for _, run := range w.migrations {
		if !run.over { // on its way
			from, to := index[run.from], index[run.to]
			cpu[from] -= w.rec.use(run.guest) / run.from.CPUs.CPUs()
			cpu[to] += w.rec.use(run.guest) / run.to.CPUs.CPUs()
			memory[from] -= float64(run.guest.Memory+cluster.VMOverhead) / float64(run.from.Memory)
		}
	}
	before, room := spread(cpu)+spread(memory), w.room()
	best, gain := shift{}, leastGain
	for _, from := range w.machines {
		w.free(from, room, func(s shift) {
			i, k := index[s.from], index[s.to]
			load, size := w.rec.use(s.g), float64(s.g.Memory+cluster.VMOverhead)
			a, b, c, d := cpu[i], cpu[k], memory[i], memory[k]
			cpu[i] -= load / s.from.CPUs.CPUs()
			cpu[k] += load / s.to.CPUs.CPUs()
			memory[i] -= size / float64(s.from.Memory)
			memory[k] += size / float64(s.to.Memory)
			if g := before - spread(cpu) - spread(memory); g > gain {
				best, gain = s, g
			}
			cpu[i], cpu[k], memory[i], memory[k] = a, b, c, d
		})
	}
	if best.g == nil {
		return scheduler.Result{Code: cluster.CodeGainBelowCost, Text: "no move evens the hosts out"}
	}
	return best.result()
}

// spread is the standard deviation.
func spread(values []float64) float64 {
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	mean := sum / float64(len(values))
	for _, v := range values {
		squares += float64((v - mean) * (v - mean))
	}
	return math.Sqrt(squares / float64(len(values)))
}

// How far foresight looks, and in which steps.
const (
	horizon = 30 * time.Minute
	stride  = time.Minute
)

// ahead is what a VM will ask for, in CPUs, and how far that scatters from
// tick to tick.
type ahead struct {
	mean, variance [int(horizon / stride)]float64
}

func (a *ahead) add(b *ahead, sign float64) {
	for i := range a.mean {
		a.mean[i] += sign * b.mean[i]
		a.variance[i] += sign * b.variance[i]
	}
}

// short is how many CPU-seconds will be waited for on a machine.
func (a *ahead) short(m *machine) float64 {
	var sum float64
	room := (m.CPUs - m.Overhead).CPUs()
	for i := range a.mean {
		sum += excess(a.mean[i]-room, math.Sqrt(max(a.variance[i], 0)))
	}
	return sum * stride.Seconds()
}

// excess is the mean of what is above zero of a normal variable.
func excess(mean, deviation float64) float64 {
	if mean < -6*deviation || mean > 6*deviation || deviation == 0 {
		return max(mean, 0)
	}
	z := mean / deviation
	return mean*0.5*math.Erfc(-z/math.Sqrt2) + deviation*math.Exp(-z*z/2)/math.Sqrt(2*math.Pi)
}

func (g *guest) ahead(now time.Duration) *ahead {
	var a ahead
	for i := range a.mean {
		asks := g.CPU
		if g.Trace != nil {
			asks, _ = g.asks(now + time.Duration(i)*stride)
		}
		part := math.Mod(asks.CPUs(), 1)
		a.mean[i], a.variance[i] = asks.CPUs(), part*(1-part)
	}
	return &a
}

// foresee orders, once a minute, the move that spares most waiting within the
// horizon, if it spares more than copying takes of the CPUs.
func foresee(w *world) scheduler.Result {
	still := scheduler.Result{Code: cluster.CodeGainBelowCost, Text: "no move spares more than it costs"}
	if w.now%stride != 0 {
		return still
	}
	all, load := map[*guest]*ahead{}, map[*machine]*ahead{}
	for _, m := range w.machines {
		load[m] = &ahead{}
		for _, g := range m.guests {
			all[g] = g.ahead(w.now)
			load[m].add(all[g], 1)
		}
	}
	for _, run := range w.migrations {
		if !run.over {
			load[run.from].add(all[run.guest], -1)
			load[run.to].add(all[run.guest], 1)
		}
	}
	short := map[*machine]float64{}
	for _, m := range w.machines {
		short[m] = load[m].short(m)
	}
	best, gain, room := shift{}, 0.0, w.room()
	for _, from := range w.machines {
		if short[from] < 1 {
			continue
		}
		spares := map[*guest]float64{} // at the source, less what copying takes
		w.free(from, room, func(s shift) {
			spared, known := spares[s.g]
			if !known {
				a := *load[s.from]
				a.add(all[s.g], -1)
				spared = short[s.from] - a.short(s.from) - 2*float64(s.g.Memory)/float64(cluster.GiB)*cpuPerGiBMilli/1000
				spares[s.g] = spared
			}
			if spared <= gain {
				return // nobody waits less where a VM comes
			}
			b := *load[s.to]
			b.add(all[s.g], 1)
			if g := spared + short[s.to] - b.short(s.to); g > gain {
				best, gain = s, g
			}
		})
	}
	if best.g == nil {
		return still
	}
	return best.result()
}
