package cluster

import (
	"cmp"
	"fmt"
	"slices"
)

// Failover asks of a fleet whether VMs of lost hosts would find room on those
// that are left. Room is memory, as [Settings.Room] has it: each VM's maximum and its overhead, placed
// largest first, each on the first host that has enough left, the emptiest
// host first. That a packing exists is not enough: it must be one that is
// found at once when it is needed.
//
// What is on its way counts where it goes. Room is given by hosts that are
// heard and take VMs: not by silent, cordoned or held ones. The loss of those
// is asked for all the same, for their VMs would have to go somewhere.
//
// Planner and [State.Apply] share it, so that both hold the same rule. Build
// one with [State.Failover]; it is not for concurrent use.
type Failover struct {
	k      int
	hosts  []failing
	takers []int // places in hosts of those that give room, the emptiest first
	losses []loss
	worst  [lossKinds]loss // before any step

	room  Bytes   // on all that give some
	free  []Bytes // scratch, by place in hosts
	spent []int   // places in free that a look has changed
	lost  []bool  // scratch, by place in hosts: those whose loss is looked at
	sizes []Bytes // scratch
}

// failing is a host that may fail, and that may take what failed elsewhere.
type failing struct {
	id, name, zone string
	takes          bool
	memory, used   Bytes
	vms            []Bytes // what each needs, the largest first
}

func (h *failing) room() Bytes { return h.memory - h.used }

// loss is a set of hosts that fail together.
type loss struct {
	kind  lossKind
	name  string
	hosts []int // places
	// lacks is the memory that is missing; if none is, spare is what is left.
	lacks, spare Bytes
}

// lossKind keeps apart what is judged apart: whoever stands the loss of a host
// need not stand the loss of a room, and a fleet that never stood the latter
// must not lose the former unnoticed.
type lossKind int

const (
	lossOfHosts lossKind = iota
	lossOfZone
	lossKinds
)

// MaxFailover bounds how many hosts may be asked to fail at once.
const MaxFailover = 8

// failoverSets is how many sets of hosts are drawn when more than one may fail:
// all pairs of 1,000 hosts would be half a million.
const failoverSets = 100

// Failover is the fleet as the setting failover_hosts wants it looked at, nil
// if it asks for nothing, or if fewer than two hosts give room.
func (s State) Failover() *Failover {
	if s.Settings.FailoverHosts == 0 {
		return nil
	}
	f := s.failover(s.Settings.FailoverHosts)
	if f.k < 1 {
		return nil
	}
	f.draw()
	f.assess()
	return f
}

// failover opens the books.
func (s State) failover(k int) *Failover {
	f := &Failover{}
	for id, h := range s.hosts.all() {
		f.hosts = append(f.hosts, s.failing(id, h))
	}
	for m := range s.Live() {
		f.arrives(m)
	}
	for i := range f.hosts {
		if h := &f.hosts[i]; h.takes {
			f.takers = append(f.takers, i)
		}
		slices.SortFunc(f.hosts[i].vms, larger)
	}
	f.k = min(k, len(f.takers)-1)
	slices.SortFunc(f.takers, f.emptier)
	f.free, f.lost = make([]Bytes, len(f.hosts)), make([]bool, len(f.hosts))
	for i := range f.hosts {
		f.free[i] = f.hosts[i].room()
	}
	for _, i := range f.takers {
		f.room += max(f.free[i], 0)
	}
	return f
}

func larger(a, b Bytes) int { return cmp.Compare(b, a) }

// emptier orders hosts by the room they have, then by their ids.
func (f *Failover) emptier(a, b int) int {
	return cmp.Or(larger(f.hosts[a].room(), f.hosts[b].room()), cmp.Compare(a, b))
}

// failing is a host with what it holds and will keep. A VM that is on its way
// to another host counts there, unless nobody knows where it ended.
func (s State) failing(id string, h Host) failing {
	m, _ := s.members.get(id)
	beat, _ := h.Last()
	_, cordoned := s.Cordoned(id)
	out := failing{id: id, name: m.Name, zone: m.Zone, memory: s.Settings.Room(beat.Load.Memory), takes: h.Fresh(s.Now) && !cordoned && m.Hold == ""}
	out.vms = make([]Bytes, 0, len(h.Inventory.VMs))
	for _, vm := range h.Inventory.VMs {
		need := vm.MaxMemory + VMOverhead
		switch live, ok := s.LiveMove(vm.UUID); {
		case ok && live.Target == id: // see arrives
		case ok && live.Source == id && live.State != MoveUnknown:
		case vm.Incoming:
			out.used += need
		default:
			out.used += need
			out.vms = append(out.vms, need)
		}
	}
	return out
}

// arrives counts a live move's VM at its target.
func (f *Failover) arrives(m Move) {
	i, ok := f.find(m.Target)
	if !ok {
		return
	}
	need := m.MaxMemory + VMOverhead
	f.hosts[i].used += need
	if m.State != MoveUnknown {
		f.hosts[i].vms = append(f.hosts[i].vms, need)
	}
}

func (f *Failover) find(id string) (int, bool) {
	return slices.BinarySearchFunc(f.hosts, id, func(h failing, id string) int { return cmp.Compare(h.id, id) })
}

// draw lists the losses: every host, every zone, and if more than one host may
// fail the fullest of them and some sets that are drawn. What is drawn depends
// on the number of hosts alone, so planner and State draw alike.
func (f *Failover) draw() {
	f.losses = f.losses[:0]
	zones := map[string][]int{}
	for i := range f.hosts {
		f.losses = append(f.losses, loss{name: f.hosts[i].name, hosts: []int{i}})
		if z := f.hosts[i].zone; z != "" {
			zones[z] = append(zones[z], i)
		}
	}
	for _, z := range sortedZones(zones) {
		if n := len(zones[z]); n > 1 && n < len(f.hosts) {
			f.losses = append(f.losses, loss{kind: lossOfZone, name: "zone " + z, hosts: zones[z]})
		}
	}
	if f.k < 2 {
		return
	}
	all := make([]int, len(f.hosts))
	for i := range all {
		all[i] = i
	}
	fullest := slices.Clone(all)
	slices.SortStableFunc(fullest, func(a, b int) int { return larger(f.hosts[a].used, f.hosts[b].used) })
	f.add(fullest[:f.k])
	seed := uint64(len(all))<<8 | uint64(f.k)
	for range failoverSets {
		for i := range f.k {
			j := i + int(scramble(&seed)%uint64(len(all)-i))
			all[i], all[j] = all[j], all[i]
		}
		f.add(all[:f.k])
	}
}

// scramble is splitmix64, a step of a sequence that is the same everywhere: not
// chance, of which this package has none.
func scramble(seed *uint64) uint64 {
	*seed += 0x9e3779b97f4a7c15
	z := *seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// add adds a set of hosts that fail together.
func (f *Failover) add(set []int) {
	hosts := slices.Clone(set)
	slices.Sort(hosts)
	name := f.hosts[hosts[0]].name
	for _, i := range hosts[1:] {
		name += "+" + f.hosts[i].name
	}
	f.losses = append(f.losses, loss{name: name, hosts: hosts})
}

func sortedZones(zones map[string][]int) []string {
	out := make([]string, 0, len(zones))
	for z := range zones {
		out = append(out, z)
	}
	slices.Sort(out)
	return out
}

// assess looks at every loss as things stand and puts the tightest first: a
// step that spends the reserve is found out by the first few.
func (f *Failover) assess() {
	for i := range f.losses {
		l := &f.losses[i]
		l.lacks, l.spare = f.look(l.hosts)
	}
	slices.SortStableFunc(f.losses, func(a, b loss) int {
		return cmp.Or(cmp.Compare(b.lacks, a.lacks), cmp.Compare(a.spare, b.spare))
	})
	f.worst = [lossKinds]loss{}
	for _, l := range slices.Backward(f.losses) {
		f.worst[l.kind] = l
	}
}

// look places the VMs of lost hosts on those that are left: how much memory is
// missing, and if none is, how much is left then. A VM that finds no room is
// squeezed into the largest that is left, and what sticks out is missing. So on
// two hosts alike it is what all VMs need beyond one host, wherever they are: a
// fleet of two that has no reserve is not kept from balancing.
func (f *Failover) look(lost []int) (lacks, spare Bytes) {
	vms := f.hosts[lost[0]].vms
	if len(lost) > 1 {
		f.sizes = f.sizes[:0]
		for _, i := range lost {
			f.sizes = append(f.sizes, f.hosts[i].vms...)
		}
		slices.SortFunc(f.sizes, larger)
		vms = f.sizes
	}
	for _, i := range lost {
		f.lost[i] = true
	}
	f.spent = f.spent[:0]
	at, last, placed := 0, Bytes(-1), Bytes(0)
	for _, need := range vms {
		if need != last { // one as large as the last finds nothing where that found nothing
			at, last = 0, need
		}
		for at < len(f.takers) && (f.free[f.takers[at]] < need || f.lost[f.takers[at]]) {
			at++
		}
		if at == len(f.takers) {
			lacks += need - f.squeeze()
			continue
		}
		f.free[f.takers[at]] -= need
		f.spent = append(f.spent, f.takers[at])
		placed += need
	}
	for _, i := range f.spent {
		f.free[i] = f.hosts[i].room()
	}
	for _, i := range lost {
		f.lost[i] = false
	}
	if lacks == 0 {
		return 0, f.left(lost) - placed
	}
	return lacks, 0
}

// left is the room on all hosts but those.
func (f *Failover) left(lost []int) Bytes {
	left := f.room
	for _, i := range lost {
		if f.hosts[i].takes {
			left -= max(f.hosts[i].room(), 0)
		}
	}
	return left
}

// squeeze takes the largest room that is left whole, and says how large it was.
func (f *Failover) squeeze() Bytes {
	largest := -1
	for _, i := range f.takers {
		if f.free[i] > 0 && (largest < 0 || f.free[i] > f.free[largest]) && !f.lost[i] {
			largest = i
		}
	}
	if largest < 0 {
		return 0
	}
	room := f.free[largest]
	f.free[largest] = 0
	f.spent = append(f.spent, largest)
	return room
}

// Spends says why a step would spend the reserve, or nil: afterwards the worst
// loss of its kind would lack more memory than it does now. Where that is
// nothing now, it must stay nothing. The step is a VM of so much memory going
// from one host to another.
func (f *Failover) Spends(memory Bytes, source, target string) *Refusal {
	if f == nil {
		return nil
	}
	from, ok := f.find(source)
	to, known := f.find(target)
	if !ok || !known || from == to {
		return nil
	}
	need := memory + VMOverhead
	f.shift(need, from, to)
	defer f.shift(need, to, from)
	for _, l := range f.losses {
		if lacks, _ := f.look(l.hosts); lacks > f.worst[l.kind].lacks {
			return refusal(CodeFailoverReserve, "then the loss of %s would lack %v for its VMs, %s; failover_hosts is %d",
				clipName(l.name), lacks, f.worst[l.kind].asNow(), f.k)
		}
	}
	return nil
}

// asNow says what the worst loss lacks before a step.
func (l loss) asNow() string {
	if l.lacks == 0 {
		return "none lacks any now"
	}
	return fmt.Sprintf("the worst now lacks %v", l.lacks)
}

// Go takes a step as done.
func (f *Failover) Go(memory Bytes, source, target string) {
	if f == nil {
		return
	}
	from, ok := f.find(source)
	to, known := f.find(target)
	if !ok || !known || from == to {
		return
	}
	f.shift(memory+VMOverhead, from, to)
	f.draw()
	f.assess()
}

// shift moves what a VM needs from one host's books to another's.
func (f *Failover) shift(need Bytes, from, to int) {
	a, b := &f.hosts[from], &f.hosts[to]
	if i, ok := slices.BinarySearchFunc(a.vms, need, larger); ok {
		a.vms = slices.Delete(a.vms, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(b.vms, need, larger)
	b.vms = slices.Insert(b.vms, i, need)
	f.charge(from, -need)
	f.charge(to, need)
}

// charge changes what a host holds, and its place among those that give room.
func (f *Failover) charge(i int, more Bytes) {
	at := slices.Index(f.takers, i)
	if at >= 0 {
		f.takers = slices.Delete(f.takers, at, at+1)
		f.room -= max(f.free[i], 0)
	}
	f.hosts[i].used += more
	f.free[i] = f.hosts[i].room()
	if at >= 0 {
		f.room += max(f.free[i], 0)
		at, _ = slices.BinarySearchFunc(f.takers, i, f.emptier)
		f.takers = slices.Insert(f.takers, at, i)
	}
}

// clipName bounds a name in a text; there may be eight of 256 bytes.
func clipName(name string) string {
	if len(name) <= 128 {
		return name
	}
	return Printable(name[:125]) + "..."
}
