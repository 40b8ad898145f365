package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The policy pairwise-random is the decentralised form of half-difference (US
// 7,716,667): hosts meet in pairs drawn by lot, and of each pair the one with
// more load hands a VM over, the one whose load is nearest half of the
// difference. Nobody looks at the fleet as a whole. A difference within the
// tolerance, enter, is let be.
//
// Load is the weighted sum of the shares of CPU and memory that are asked for.
// The host that would take the VM weighs, by its own weights: what it has less
// of to spare counts for more. Worked: a host at 60 % of its CPUs and 20 % of
// its memory weighs CPU 3/4 and memory 1/4. It has a load of 50 %; a host at
// 90 % and 40 % has, to it, 77.5 %; a VM that would take 20 % of its CPUs and
// 10 % of its memory weighs 17.5 %.

// A meeting lasts as long as an excess must: then lots are drawn anew.
func (f *fleet) meeting() uint64 { return uint64(f.state.Now) / uint64(f.set.Sustained()) }

// partner is the host that a known host meets, nil if it is left over. Lots are
// drawn by rank of load, so names have no part in them, and once in a plan:
// its own steps draw no others.
func (f *fleet) partner(h *host) *host {
	if f.pairs == nil {
		f.pairs = f.draw()
	}
	return f.pairs[h]
}

func (f *fleet) draw() map[*host]*host {
	ranked := slices.DeleteFunc(slices.Clone(f.hosts), func(h *host) bool { return h.unknown != nil })
	slices.SortFunc(ranked, func(a, b *host) int {
		return cmp.Or(cmp.Compare(a.relative(), b.relative()), cmp.Compare(a.cpus, b.cpus), cmp.Compare(a.load.Memory, b.load.Memory), cmp.Compare(a.id, b.id))
	})
	lots := make(map[*host]uint64, len(ranked))
	for rank, h := range ranked {
		lots[h] = lot(lot(f.seed+f.meeting()) + uint64(rank))
	}
	slices.SortFunc(ranked, func(a, b *host) int { return cmp.Compare(lots[a], lots[b]) })
	pairs := map[*host]*host{}
	for i := 0; i+1 < len(ranked); i += 2 {
		pairs[ranked[i]], pairs[ranked[i+1]] = ranked[i+1], ranked[i]
	}
	return pairs
}

// lot makes a random number of a number: SplitMix64's step, which sends no two
// numbers to the same one.
func lot(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// weights of the factors of load.
type weights struct{ cpu, memory float64 }

// weights are a host's own: each factor's share of what is asked of it.
func (h *host) weights() weights {
	cpu, memory := h.relative(), h.filled()
	if sum := cpu + memory; sum > 0 {
		return weights{cpu / sum, memory / sum}
	}
	return weights{0.5, 0.5}
}

// filled is the share of the host's memory that is charged.
func (h *host) filled() float64 { return share(h.memory.Most, h.load.Memory) }

func share(part, whole cluster.Bytes) float64 { return float64(part) / float64(max(whole, 1)) }

func (w weights) of(cpu, memory float64) float64 {
	return float64(w.cpu*cpu) + float64(w.memory*memory)
}

// gap is by how much a host's load exceeds its partner's, as the partner weighs.
func gap(source, target *host) float64 {
	w := target.weights()
	return w.of(source.relative(), source.filled()) - w.of(target.relative(), target.filled())
}

// on is the VM's load on a host, as the target weighs.
func (v *vm) on(h, target *host) float64 {
	return target.weights().of(v.at(h), share(v.facts.MaxMemory+cluster.VMOverhead, h.load.Memory))
}

// pairedOff lists the hosts that have more load than those they meet, largest
// difference first; if there are none it says why.
func pairedOff(f *fleet) ([]*host, *cluster.Refusal) {
	var out []*host
	var widest *host
	known := 0
	for _, h := range f.hosts {
		if h.unknown != nil {
			continue
		}
		known++
		if f.partner(h) == nil {
			continue
		}
		if isPairedOff(f, h) == nil {
			out = append(out, h)
		}
		if widest == nil || gap(h, f.partner(h)) > gap(widest, f.partner(widest)) {
			widest = h
		}
	}
	switch {
	case known == 0:
		return nil, f.blind()
	case widest == nil:
		return nil, no(cluster.CodeNoTarget, "there is only one known hypervisor")
	case len(out) == 0:
		return nil, isPairedOff(f, widest)
	}
	slices.SortStableFunc(out, func(a, b *host) int { return cmp.Compare(gap(b, f.partner(b)), gap(a, f.partner(a))) })
	return out, nil
}

// meets says how a host calls for relief.
func meets(f *fleet, h *host) string {
	p := f.partner(h)
	return fmt.Sprintf("%s meets %s and has %s more load as that weighs", h.name, p.name, percent(gap(h, p)))
}

// isPairedOff says why a known host is not one to hand a VM over, or nil.
func isPairedOff(f *fleet, h *host) *cluster.Refusal {
	p := f.partner(h)
	if p == nil {
		return no(cluster.CodeNoTarget, "%s meets nobody for %v", h.name, f.adjourns())
	}
	lowest := gap(h, p) - float64(p.weights().cpu*(h.relative()-f.lowest(h)))
	switch tolerance := f.set.Enter.Float(); {
	case gap(h, p) <= tolerance:
		return no(cluster.CodeBelowThreshold, "%s meets %s: their loads differ by %s, tolerance %v", h.name, p.name, percent(math.Abs(gap(h, p))), f.set.Enter)
	case !h.state.Settled():
		return no(cluster.CodeDisturbed, "%s meets %s and has more load, but its window still carries a move", h.name, p.name)
	case lowest <= tolerance:
		return no(cluster.CodeNotSustained, "%s meets %s: their loads differ by %s, but not for %v yet", h.name, p.name, percent(gap(h, p)), f.set.Sustained())
	}
	return nil
}

// adjourns is how long the present meeting lasts yet.
func (f *fleet) adjourns() time.Duration {
	long := f.set.Sustained()
	return (long - time.Duration(uint64(f.state.Now)%uint64(long))).Round(time.Second)
}

// handOver picks the VM whose load is nearest half the difference to the host
// that its own meets.
func handOver(f *fleet, source *host, note *notes) (candidate, bool) {
	target := f.partner(source)
	half := gap(source, target) / 2
	if 2*half <= f.set.Enter.Float() {
		return candidate{}, false // this plan's own steps were enough
	}
	return f.nearest(source, target, note, func(v *vm) float64 { return math.Abs(v.on(target, target) - half) })
}

// narrowsPair refuses a VM that would not narrow the difference, and hosts
// that do not meet.
func narrowsPair(f *fleet, c *candidate) *cluster.Refusal {
	if f.partner(c.source) != c.target {
		return no(cluster.CodeNoTarget, "%s does not meet %s for %v", c.source.name, c.target.name, f.adjourns())
	}
	now := gap(c.source, c.target)
	there := c.vm.on(c.target, c.target)
	if there >= now {
		return no(cluster.CodeGapTooSmall, "%s has a load of %s on %s, and the gap between %s and %s is %s",
			c.vm.name, percent(there), c.target.name, c.source.name, c.target.name, percent(now))
	}
	if after := math.Abs(now - c.vm.on(c.source, c.target) - there); after >= now {
		return no(cluster.CodeGapTooSmall, "%s would leave a gap of %s where it is %s now between %s and %s",
			c.vm.name, percent(after), percent(now), c.source.name, c.target.name)
	}
	return nil
}
