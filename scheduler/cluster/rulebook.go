package cluster

import (
	"path"
	"slices"
	"strings"
)

// Rulebook finds the rules that are for a VM: held against each of 1,024
// patterns, the VMs of a fleet of 20,000 would take seconds. Patterns are
// looked up by what they begin with; only those that begin with a wildcard are
// tried one by one.
type Rulebook struct {
	rules   []Rule
	exact   map[string][]int     // name or UUID → places of rules
	begin   map[string][]pattern // what a pattern begins with, up to its first wildcard
	lengths []int                // of what patterns begin with
	metas   bool                 // there are rules of metadata
}

type pattern struct {
	text string
	rule int
}

// Rulebook is that of all rules.
func (s State) Rulebook() *Rulebook { return rulebook(s.AllRules()) }

func rulebook(rules []Rule) *Rulebook {
	b := &Rulebook{rules: rules, exact: map[string][]int{}, begin: map[string][]pattern{}}
	for i, r := range rules {
		b.metas = b.metas || r.FromMetadata()
		for _, p := range r.VMs {
			wild := strings.IndexAny(p, `*?[\`)
			if wild < 0 {
				b.exact[p] = append(b.exact[p], i)
				continue
			}
			b.begin[p[:wild]] = append(b.begin[p[:wild]], pattern{p, i})
			if !slices.Contains(b.lengths, wild) {
				b.lengths = append(b.lengths, wild)
			}
		}
	}
	return b
}

// covering lists the places of the rules that are for a VM, in their order.
func (b *Rulebook) covering(vm, name string) []int {
	if len(b.rules) == 0 {
		return nil
	}
	out := append(slices.Clone(b.exact[vm]), b.exact[name]...)
	for _, n := range b.lengths {
		if n > len(name) {
			continue
		}
		for _, p := range b.begin[name[:n]] {
			if ok, err := path.Match(p.text, name); ok && err == nil {
				out = append(out, p.rule)
			}
		}
	}
	slices.Sort(out)
	return b.overruled(slices.Compact(out))
}

// overruled leaves out what a VM's metadata says where an operator's rule of the
// same kind is for it.
func (b *Rulebook) overruled(places []int) []int {
	if !b.metas {
		return places
	}
	var said []RuleKind
	for _, i := range places {
		if !b.rules[i].FromMetadata() {
			said = append(said, b.rules[i].Kind)
		}
	}
	return slices.DeleteFunc(places, func(i int) bool { return b.rules[i].FromMetadata() && slices.Contains(said, b.rules[i].Kind) })
}

// ClassOf is the class of a VM and the rule that says so; the last that does
// counts.
func (b *Rulebook) ClassOf(vm, name string) (Class, Rule) {
	class, by := ClassNormal, Rule{}
	for _, i := range b.covering(vm, name) {
		if r := b.rules[i]; r.Kind == RuleClass {
			class, by = r.Class, r
		}
	}
	return class, by
}

// Demanded is the CPU that a VM is taken to want: what is measured, unless
// operators said otherwise. Of several rules each bounds what those before it
// say.
func (b *Rulebook) Demanded(vm, name string, measured MilliCPU) MilliCPU {
	for _, i := range b.covering(vm, name) {
		r := b.rules[i]
		switch r.Bound {
		case BoundExactly:
			measured = r.Demand
		case BoundAtLeast:
			measured = max(measured, r.Demand)
		case BoundAtMost:
			measured = min(measured, r.Demand)
		}
	}
	return measured
}

// PainOf is how much of a host's pain is a reason to act: that of its VMs of
// class batch is none.
func (b *Rulebook) PainOf(inv Inventory, load Load) Ratio {
	if !slices.ContainsFunc(b.rules, func(r Rule) bool { return r.Class == ClassBatch }) || load.Inventory != inv.Revision {
		return load.Pain()
	}
	var sum, vcpus int64
	var worst Ratio
	batch := false
	for _, l := range load.VMs {
		vm, ok := inv.BySlot(l.Slot)
		if class, _ := b.ClassOf(vm.UUID, vm.Name); ok && class == ClassBatch {
			batch = true
			continue
		}
		sum += int64(l.Contention) * int64(vm.VCPUs)
		vcpus += int64(vm.VCPUs)
		worst = max(worst, l.ContentionMax)
	}
	switch {
	case !batch:
		return load.Pain()
	case vcpus == 0:
		return 0
	}
	return max(Ratio(sum/vcpus), worst/2)
}
