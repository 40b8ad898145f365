package scheduler

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// demand is evenkeel's own policy: of all moves that may be, the one that
// lowers the worst predicted pain of its two ends most.
func demand(f *fleet, source *host, note *notes) (choice, bool) {
	if r := f.open(); r != nil {
		note.refuse("", source.id, "", r, 0)
		return choice{}, false
	}
	var best choice
	found := false
	now := source.share(nil, nil)
	for _, v := range source.vms {
		if r := f.mayMove(source, v); r != nil {
			note.refuse(v.uuid, source.id, "", r, 0)
			continue
		}
		without := source.share(nil, v)
		for _, target := range f.hosts {
			if target == source {
				continue
			}
			c, r := f.weigh(source, v, target, now, without)
			if r != nil {
				note.refuse(v.uuid, source.id, target.id, r, c.before-c.after)
				continue
			}
			if !found || c.better(best) {
				best, found = c, true
			}
		}
	}
	if !found && len(source.vms) > 0 && len(f.hosts) == 1 {
		note.refuse("", source.id, "", no(cluster.CodeNoTarget, "there is no other hypervisor"), 0)
	}
	return best, found
}

// weigh predicts one move; what it refuses for its gain has its figures.
func (f *fleet) weigh(source *host, v *vm, target *host, now, without share) (choice, *cluster.Refusal) {
	if r := f.mayGo(v, target); r != nil {
		return choice{}, r
	}
	c := choice{
		vm: v, source: source, target: target, sourceNow: now, sourceAfter: without,
		targetNow: target.share(nil, nil), targetAfter: target.share(v, nil),
	}
	c.before = max(c.sourceNow.pain(), c.targetNow.pain())
	c.after = max(c.sourceAfter.pain(), c.targetAfter.pain())
	return c, f.worth(c)
}

// worth says why a move's gain does not carry it, or nil.
func (f *fleet) worth(c choice) *cluster.Refusal {
	gain := c.before - c.after
	switch {
	case gain <= 0:
		return no(cluster.CodeWouldNotHelp, "%s to %s: worst predicted steal %s -> %s", c.vm.name, c.target.name, percent(c.before), percent(c.after))
	case ppm(gain) < f.set.MinGain:
		return no(cluster.CodeGainBelowCost, "%s to %s: worst predicted steal %s -> %s, gains less than %v",
			c.vm.name, c.target.name, percent(c.before), percent(c.after), f.set.MinGain)
	}
	return nil
}

// nearly is the difference in gain below which two moves count as equally
// good, and the cheaper one is taken: half a point.
const nearly = 0.005

// better orders choices: gain first, then less memory to copy, then ids, so
// that the order never depends on chance.
func (c choice) better(o choice) bool {
	switch gain := (c.before - c.after) - (o.before - o.after); {
	case gain > nearly:
		return true
	case gain < -nearly:
		return false
	case c.vm.facts.MaxMemory != o.vm.facts.MaxMemory:
		return c.vm.facts.MaxMemory < o.vm.facts.MaxMemory
	case c.vm.uuid != o.vm.uuid:
		return c.vm.uuid < o.vm.uuid
	}
	return c.target.id < o.target.id
}
