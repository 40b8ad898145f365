package scheduler

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// pair is a need and the two offers that it is held against. They are kept
// once in the State, so that equal ones are compared once in a plan.
type pair struct {
	need     *cluster.Need
	from, to *cluster.Offer
}

// fit remembers what was found of a need, or of a pair.
type fit struct {
	all  *cluster.Refusal // the first hindrance, nil if there is none
	auto *cluster.Refusal // the first that holds back only automatic moves
}

// fits are a fleet's.
type fits struct {
	needs map[*cluster.Need]fit
	pairs map[pair]fit

	networks map[*cluster.Need][]string
}

func fitOf(list []cluster.Hindrance) (f fit) {
	for i := range list {
		h := &list[i]
		switch {
		case h.Auto && f.auto == nil:
			f.auto = h.Refusal()
		case !h.Auto && f.all == nil:
			f.all = h.Refusal()
		}
	}
	return f
}

// stays is what keeps a VM from going anywhere.
func (f *fleet) stays(v *vm) fit {
	if v.need == nil {
		return fit{}
	}
	known, ok := f.fitting.needs[v.need]
	if !ok {
		known = fitOf(v.need.Stays(f.set.Leeway()))
		f.fitting.needs[v.need] = known
	}
	return known
}

// goes is what keeps a VM from going to a host.
func (f *fleet) goes(v *vm, target *host) fit {
	p := pair{v.need, v.from, target.offer}
	if p.need == nil || p.from == nil || p.to == nil {
		return fit{}
	}
	known, ok := f.fitting.pairs[p]
	if !ok {
		known = fitOf(p.need.Fit(p.from, p.to))
		f.fitting.pairs[p] = known
	}
	return known
}

// mayLeave asks whether anything keeps a VM from going anywhere: its owner, its
// pins, its devices, its disks.
func mayLeave(f *fleet, _ *host, v *vm) *cluster.Refusal {
	return named(v, f.stays(v).all)
}

// runsThere asks whether the VM could run on the target: its machine, its CPU,
// its networks, its storage.
func runsThere(f *fleet, v *vm, target *host) *cluster.Refusal {
	return to(v, target, f.goes(v, target).all)
}

// copies is what keeps a VM's own disks from going along to a host.
func (f *fleet) copies(v *vm, target *host) fit {
	if len(v.copies) == 0 || v.home == nil || target.offer == nil {
		return fit{}
	}
	return fitOf(cluster.FitCopies(v.copies, f.set.CopyStorage, v.home.rooms, target.rooms))
}

// disksFit asks whether the target takes copies of the disks that only the VM's
// host has.
func disksFit(f *fleet, v *vm, target *host) *cluster.Refusal {
	return to(v, target, f.copies(v, target).all)
}

// disksReturn asks whether an automatic move with such disks could be undone.
func disksReturn(f *fleet, v *vm, target *host) *cluster.Refusal {
	return to(v, target, f.copies(v, target).auto)
}

// comesBack asks whether an automatic move could be undone.
func comesBack(f *fleet, v *vm, target *host) *cluster.Refusal {
	return to(v, target, f.goes(v, target).auto)
}

// described holds evenkeel back until a VM's need, and what a target offers,
// have been read, where the source says such things at all. The source's own
// look right before a migration spares nobody.
func described(_ *fleet, v *vm, target *host) *cluster.Refusal {
	switch {
	case v.from == nil:
		return nil
	case v.need == nil:
		return no(cluster.CodeNotChecked, "%s: what it needs has not been read yet", v.name)
	case target.offer == nil:
		return no(cluster.CodeNotChecked, "%s has not said yet what it offers", target.name)
	}
	return nil
}

func named(v *vm, r *cluster.Refusal) *cluster.Refusal {
	if r == nil {
		return nil
	}
	return &cluster.Refusal{Code: r.Code, Text: v.name + ": " + r.Text, Rule: r.Rule}
}

func to(v *vm, target *host, r *cluster.Refusal) *cluster.Refusal {
	if r == nil {
		return nil
	}
	return &cluster.Refusal{Code: r.Code, Text: v.name + " to " + target.name + ": " + r.Text, Rule: r.Rule}
}

// describe fills in what the hosts said of themselves and their VMs.
func (f *fleet) describe() {
	f.fitting = fits{map[*cluster.Need]fit{}, map[pair]fit{}, map[*cluster.Need][]string{}}
	for _, h := range f.hosts {
		d, ok := f.state.Described(h.id)
		if !ok {
			continue
		}
		h.offer, h.rooms = d.Offer(), d.Rooms
		for _, v := range h.vms {
			v.from, v.need = h.offer, d.Need(v.uuid)
			if f.set.CopyStorage.Copies() {
				v.copies = d.Disks(v.uuid)
			}
		}
	}
}
