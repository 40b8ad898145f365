package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Wishes plans what operators asked for and is not done yet: VMs leave the
// hosts that are drained, and come back to those that were. Budgets, cooldowns
// and thresholds have no part in it; all else has. Each VM goes where it is
// predicted to hurt least.
func Wishes(in Input) Result {
	f := newAskedFleet(in)
	r := Result{Index: in.State.Index, Policy: f.policy, Seed: in.Seed}
	wishes := f.wishes()
	if len(wishes) == 0 {
		r.Code, r.Text = cluster.CodeBelowThreshold, "no operator wants a VM elsewhere"
		return r
	}
	r.Host = wishes[0].host.id
	if why := f.closed(); why != nil {
		r.Code, r.Text = why.Code, why.Text
		return r
	}
	note := newNotes()
	for _, w := range wishes {
		if len(r.Moves) < maxSteps && f.closed() == nil {
			c, ok := f.grant(w, note)
			if len(r.Moves) == 0 {
				note.judge(f)
			}
			if ok {
				r.Moves = append(r.Moves, f.granted(w, c))
				f.commit(c)
			}
		}
	}
	r.Refused, r.Counts, r.Iterations = note.best(f), note.counts(), f.weighed
	if len(r.Moves) == 0 {
		r.Code, r.Text = note.summary(wishes[0].text(f))
	}
	return r
}

// Ask plans one move that an operator asks for: of a VM to a host, or with ""
// to the best one. Its reason is the operator's.
func Ask(in Input, vm, target, reason string) Result {
	f := newAskedFleet(in)
	r := Result{Index: in.State.Index, Policy: f.policy, Seed: in.Seed}
	source, v, lost := f.home(vm)
	if lost != nil {
		r.Code, r.Text = lost.Code, lost.Text
		return r
	}
	r.Host = source.id
	delete(f.stopped, v.uuid) // who asks for this very move knows what stopped the last one
	why := cmp.Or(liveMove(f, source, v), f.closed())
	w := wish{vm: v, host: source, to: f.host(target)}
	switch {
	case target != "" && w.to == nil:
		why = no(cluster.CodeUnknownHost, "%.40s is no hypervisor", target)
	case w.to == source:
		why = no(cluster.CodeNoTarget, "%s is on %s already", v.name, source.name)
	}
	if why != nil {
		r.Code, r.Text = why.Code, why.Text
		return r
	}
	note := newNotes()
	c, ok := f.grant(w, note)
	note.judge(f)
	r.Refused, r.Counts, r.Iterations = note.best(f), note.counts(), f.weighed
	if !ok {
		r.Code, r.Text = note.summary(v.name + " cannot be moved")
		return r
	}
	step := f.step(c)
	step.Reason = fmt.Sprintf("%s: %s to %s, %s", reason, v.name, c.target.name, c.worst())
	r.Moves = []Step{step}
	return r
}

// wish is a VM that an operator wants to leave its host.
type wish struct {
	vm   *vm
	dark *cluster.VM // in place of vm: it has not been measured
	host *host       // that it is on
	to   *host       // nil: wherever it is best
	code cluster.Code
	by   string
}

func (w wish) text(f *fleet) string {
	if w.code == cluster.CodeRestore {
		return fmt.Sprintf("%s is to return to %s", w.vm.name, w.to.name)
	}
	return fmt.Sprintf("%s is drained by %s, %d VMs to go", w.host.name, short(w.by), len(w.host.vms)+len(w.host.dark))
}

// wishes are what drains and restores call for: drains first, the VMs of a
// host that ask for most first, for they are the hardest to place.
func (f *fleet) wishes() []wish {
	var out []wish
	for _, c := range f.state.Cordons {
		h := f.host(c.Host)
		if !c.Drain || h == nil {
			continue
		}
		vms := slices.DeleteFunc(slices.Clone(h.vms), func(v *vm) bool { return v.arriving })
		slices.SortFunc(vms, func(a, b *vm) int { return cmp.Or(cmp.Compare(b.work(), a.work()), cmp.Compare(a.uuid, b.uuid)) })
		for _, v := range vms {
			out = append(out, wish{vm: v, host: h, code: cluster.CodeDrain, by: c.By})
		}
		for i := range h.dark {
			out = append(out, wish{dark: &h.dark[i], host: h, code: cluster.CodeDrain, by: c.By})
		}
	}
	for _, r := range f.state.Returning() {
		source, v, lost := f.home(r.VM)
		if to := f.host(r.Host); lost == nil && to != nil {
			out = append(out, wish{vm: v, host: source, to: to, code: cluster.CodeRestore, by: r.By})
		}
	}
	return out
}

// grant finds the best lawful move for a wish, or notes why there is none.
func (f *fleet) grant(w wish, note *notes) (candidate, bool) {
	if w.vm == nil {
		note.refuse(candidate{source: w.host}, w.dark.UUID, unmeasured(*w.dark))
		return candidate{}, false
	}
	stuck := w.host.unknown
	if stuck == nil {
		stuck = f.mayMove(w.host, w.vm)
	}
	if stuck != nil {
		note.refuse(candidate{vm: w.vm, source: w.host, target: w.to}, w.vm.uuid, stuck)
		return candidate{}, false
	}
	without := w.host.outlook(nil, w.vm, 0)
	var best *candidate
	for _, target := range f.hosts {
		if target == w.host || w.to != nil && target != w.to {
			continue
		}
		c := candidate{vm: w.vm, source: w.host, target: target}
		r := target.unknown
		if r == nil {
			c = f.weigh(w.host, w.vm, without, target)
			r = f.mayGo(w.vm, target)
		}
		switch {
		case r != nil:
			note.refuse(c, w.vm.uuid, r)
		case best == nil || c.better(best):
			best = &c
		}
	}
	if best == nil {
		return candidate{}, false
	}
	return *best, true
}

// granted puts a wish and its move into words and figures.
func (f *fleet) granted(w wish, c candidate) Step {
	s := f.step(c)
	s.Code = w.code
	s.Reason = fmt.Sprintf("%s; moving %s (demand %.1f CPUs) to %s: %s", w.text(f), c.vm.name, c.vm.demand, c.target.name, c.worst())
	return s
}
