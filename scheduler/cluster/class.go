package cluster

// painOf is [Rulebook.PainOf] of a host's newest beat: only rules about classes
// have a part in it.
func (s *State) painOf(inv Inventory, load Load) Ratio {
	var classes []Rule
	for _, r := range s.Rules {
		if r.Kind == RuleClass {
			classes = append(classes, r)
		}
	}
	if len(s.Metas) > 0 {
		for _, vm := range inv.VMs {
			if r, ok := s.metaRule(vm.UUID, RuleClass); ok {
				classes = append(classes, r)
			}
		}
	}
	if len(classes) == 0 {
		return load.Pain()
	}
	return rulebook(classes).PainOf(inv, load)
}

// classOf is the class of one VM, see [Rulebook.ClassOf].
func (s State) classOf(vm, name string) (Class, Rule) {
	class, by := ClassNormal, Rule{}
	if r, ok := s.metaRule(vm, RuleClass); ok {
		class, by = r.Class, r
	}
	for _, r := range s.Rules {
		if r.Kind == RuleClass && r.Covers(vm, name) {
			class, by = r.Class, r
		}
	}
	return class, by
}
