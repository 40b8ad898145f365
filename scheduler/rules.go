package scheduler

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// ruleStays keeps a VM where it is that operators want left alone, or that
// must wait for others of its group.
func ruleStays(f *fleet, _ *host, v *vm) *cluster.Refusal {
	return named(v, f.rules.Stays(v.uuid, f.asked))
}

// ruleForbids keeps a VM from a host where a rule does not want it.
func ruleForbids(f *fleet, v *vm, target *host) *cluster.Refusal {
	return to(v, target, f.rules.Forbids(v.uuid, target.id))
}

// figures are a VM's: its quota and shares, its class, and the demand that operators set in place of the
// measured one, or as its bound. More than its quota it cannot want.
func (f *fleet) figures(h *host, facts cluster.VM, l cluster.VMLoad) *vm {
	l.Demand = f.book.Demanded(facts.UUID, facts.Name, l.Demand)
	v := newVM(facts, l)
	v.throttle(h.state.QuotaOf(facts.Slot))
	v.shares = h.state.SharesOf(facts.Slot).Factor()
	class, _ := f.book.ClassOf(facts.UUID, facts.Name)
	v.weight = weightOf(class)
	return v
}
