package cluster

// VMOverhead is what QEMU needs beside a VM's own memory.
const VMOverhead = 256 * MiB

// MaxMemoryRatio bounds the setting memory_ratio.
const MaxMemoryRatio = 4 * Whole

// Charge is what VMs weigh in a host's memory, each with its overhead.
type Charge struct {
	Most Bytes // they may come to use
	Held Bytes // they have in use; their maximum where that is not known, or not asked for
}

// Plus is the charge of both.
func (c Charge) Plus(d Charge) Charge { return Charge{c.Most + d.Most, c.Held + d.Held} }

// Minus is the charge without a part of it.
func (c Charge) Minus(d Charge) Charge { return Charge{c.Most - d.Most, c.Held - d.Held} }

// full is the charge of a VM of which no more is known than its maximum.
func full(maximum Bytes) Charge { return Charge{maximum + VMOverhead, maximum + VMOverhead} }

// Admit says why VMs of such a charge are too much for a host with so much
// memory for VMs, or nil. State, planner and target hold it alike. What is in
// use is asked for only where maxima may exceed memory: else they bound it.
func (s Settings) Admit(c Charge, memory Bytes) *Refusal {
	if room := s.Room(memory); c.Most > room {
		return refusal(CodeNoHeadroom, "%v needed there, %v there for VMs", c.Most, room)
	}
	if s.Overcommits() && c.Held > memory {
		return refusal(CodeNoHeadroom, "%v would be in use there, %v there for VMs", c.Held, memory)
	}
	return nil
}

// Room is what the maxima of a host's VMs may come to.
func (s Settings) Room(memory Bytes) Bytes {
	if !s.Overcommits() {
		return memory
	}
	whole, part := memory/Bytes(Whole), memory%Bytes(Whole) // a product of both would overflow beyond 2 TiB
	return whole*Bytes(s.MemoryRatio) + part*Bytes(s.MemoryRatio)/Bytes(Whole)
}

// Overcommits says whether VMs' maxima may exceed a host's memory.
func (s Settings) Overcommits() bool { return s.MemoryRatio > Whole }

// ChargeOf is what a VM of the host weighs. Swapped-out memory counts, for it
// comes along; KSM's savings and balloons do not. Huge pages are no process'
// own, so a VM with them counts whole.
func (s State) ChargeOf(host string, vm VM) Charge {
	c := full(vm.MaxMemory)
	if !s.Settings.Overcommits() {
		return c
	}
	h, _ := s.hosts.get(host)
	d, _, ok := h.Detail(vm.Slot)
	if !ok || d.Memory == nil || d.Memory.Resident == 0 || vm.Incoming {
		return c
	}
	said, _ := s.descriptions.get(host)
	if need := said.Need(vm.UUID); need == nil || len(need.Pages) == 0 {
		c.Held = d.Memory.Resident + d.Memory.Swapped + VMOverhead
	}
	return c
}

// Charge is what a host's memory is charged with: its VMs, and those that live
// moves bring.
func (s State) Charge(host string) (sum Charge) {
	h, _ := s.hosts.get(host)
	here := make(map[string]struct{}, len(h.Inventory.VMs))
	for _, vm := range h.Inventory.VMs {
		here[vm.UUID] = struct{}{}
		sum = sum.Plus(s.ChargeOf(host, vm))
	}
	for m := range s.Live() {
		if _, counted := here[m.VM]; m.Target == host && !counted {
			sum = sum.Plus(full(m.MaxMemory))
		}
	}
	return sum
}
