package scheduler

import (
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// lowerWorst is evenkeel's own policy, demand: of all moves off the source
// that may be, the one that lowers the worst predicted pain most.
func lowerWorst(f *fleet, source *host, note *notes) (candidate, bool) {
	for _, v := range source.dark {
		note.refuse(candidate{source: source}, v.UUID, unmeasured(v))
	}
	var best *candidate
	for _, v := range source.vms {
		if c := f.bestTarget(source, v, note); c != nil && (best == nil || c.better(best)) {
			best = c
		}
	}
	if best == nil {
		return candidate{}, false
	}
	return *best, true
}

// bestTarget finds the best lawful and worthwhile move of one VM, or nil. A
// VM that may not move at all is noted once, with the target that it would
// have had.
func (f *fleet) bestTarget(source *host, v *vm, note *notes) *candidate {
	stuck := f.mayMove(source, v)
	if stuck != nil && f.planned > 0 {
		return nil // nothing is noted any more, see steps
	}
	missed := candidate{vm: v, source: source}
	var lawful []candidate
	without := source.outlook(nil, v, 0)
	for _, target := range f.hosts {
		if target == source {
			continue
		}
		c, r := f.look(source, v, without, target)
		switch {
		case stuck != nil:
			if r == nil && (missed.target == nil || c.better(&missed)) {
				missed = c
			}
		case r != nil:
			note.refuse(c, v.uuid, r)
		default:
			lawful = append(lawful, c)
		}
	}
	if stuck != nil {
		note.refuse(missed, v.uuid, stuck)
	}
	return f.bestOf(lawful, note)
}

// recalled is how many of a VM's best targets are held against the past at
// once: to look back costs some hundred times as much as to look at the present.
const recalled = 4

// bestOf is the best of a VM's lawful moves, the past considered, or nil.
func (f *fleet) bestOf(lawful []candidate, note *notes) *candidate {
	slices.SortFunc(lawful, func(a, b candidate) int { return a.order(&b) })
	if len(lawful) == 0 {
		return nil
	}
	without := f.thenWithout(lawful[0].source, lawful[0].vm)
	for some := range slices.Chunk(lawful, recalled) {
		kept := some[:0]
		for _, c := range some {
			if r := f.lookBack(&c, without); r != nil {
				note.refuse(c, c.vm.uuid, r)
			} else {
				kept = append(kept, c)
			}
		}
		if best := f.bestKept(kept, note); best != nil {
			return best
		}
	}
	return nil
}

// look weighs a move and says why it may not be or does not pay, or nil. A
// target that is not known is not weighed.
func (f *fleet) look(source *host, v *vm, without outlook, target *host) (candidate, *cluster.Refusal) {
	if target.unknown != nil {
		return candidate{vm: v, source: source, target: target}, target.unknown
	}
	c := f.weigh(source, v, without, target)
	r := f.mayGo(v, target)
	if p, _ := policyOf(f.policy); r == nil {
		r = p.worth(f, &c)
	}
	if r == nil {
		r = f.fits(&c)
	}
	return c, r
}

func unmeasured(v cluster.VM) *cluster.Refusal {
	return no(cluster.CodePoorQuality, "%s has not been measured", short(v.Name))
}
