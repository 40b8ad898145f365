package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// rooms makes a fleet of hosts, each with its memory and VMs in GiB; a VM's
// overhead is taken off what it is made with, so that it needs what it says.
func rooms(t testing.TB, zones []string, memory []Bytes, vms ...[]Bytes) *world {
	w := &world{s: New(testCluster), term: 1, seq: map[string]uint64{}}
	if tt, ok := t.(*testing.T); ok {
		w.t = tt
	}
	w.s.Now = epoch
	for i, m := range memory {
		id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1)
		member := testHost(hv1)
		member.ID, member.Name, member.Memory = id, fmt.Sprintf("hv%d", i+1), m*GiB
		if zones != nil {
			member.Zone = zones[i]
		}
		w.members(member)
		load := testLoad(epoch)
		load.Memory = m * GiB
		h := Host{ID: id, Beats: []Beat{{At: epoch, Load: load}}, Inventory: Inventory{Revision: 1}}
		for j, size := range vms[i] {
			vm := testVM(vmA)
			vm.Slot, vm.UUID, vm.Name, vm.MaxMemory = uint32(j), fmt.Sprintf("%08x-0000-4000-8000-%012x", i+1, j), fmt.Sprintf("vm%d.%d", i+1, j), size*GiB-VMOverhead
			h.Inventory.VMs = append(h.Inventory.VMs, vm)
			w.s.places = w.s.places.set(vm.UUID, Place{Hosts: []string{id}, SeenAt: epoch})
		}
		w.s.hosts = w.s.hosts.set(id, h)
	}
	return w
}

func (w *world) members(m Member) { w.s.members = w.s.members.set(m.ID, m) }

func TestStanding(t *testing.T) {
	for _, c := range []struct {
		name   string
		k      int
		zones  []string
		memory []Bytes
		vms    [][]Bytes
		want   string
	}{
		{"one host stands for nothing", 1, nil, []Bytes{8}, [][]Bytes{{1}}, "not known"},
		{"two, and all fits on either: 6 of 8", 1, nil, []Bytes{8, 8}, [][]Bytes{{3}, {3}}, "stands 1, worst hv1, 2.0 GiB to spare"},
		{"two, and 9 do not fit on 8", 1, nil, []Bytes{8, 8}, [][]Bytes{{4}, {5}}, "stands 0, worst hv1, 1.0 GiB lacking"},
		{"9 on one of two are lacking as much", 1, nil, []Bytes{9, 8}, [][]Bytes{{4, 5}, {}}, "stands 0, worst hv1, 1.0 GiB lacking"},
		{"6 GiB in two pieces are no room for 4", 1, nil, []Bytes{8, 8, 8}, [][]Bytes{{4}, {5}, {5}}, "stands 0, worst hv1, 1.0 GiB lacking"},
		{"nobody asks", 0, nil, []Bytes{8, 8, 8}, [][]Bytes{{2}, {2}, {2}}, "stands 2, worst hv1, 10.0 GiB to spare"},
		{"two of three", 2, nil, []Bytes{8, 8, 8}, [][]Bytes{{4}, {3}, {3}}, "stands 1, worst hv1+hv2, 2.0 GiB lacking"},
		{
			"zones are judged apart", 1,
			[]string{"a", "a", "b", ""},
			[]Bytes{8, 8, 8, 8},
			[][]Bytes{{4, 1}, {4, 1}, {4}, {4}},
			"stands 1, worst hv1, 6.0 GiB to spare, zone a lacks 2.0 GiB",
		},
		{"one zone for all is none", 1, []string{"a", "a"}, []Bytes{8, 8}, [][]Bytes{{1}, {1}}, "stands 1, worst hv1, 6.0 GiB to spare"},
	} {
		w := rooms(t, c.zones, c.memory, c.vms...)
		w.s.Settings.FailoverHosts = c.k
		r, got := w.s.Standing(), "not known"
		if r.Known {
			got = fmt.Sprintf("stands %d, worst %s, %v to spare", r.Stands, r.Worst, r.Spare)
			if r.Lacks > 0 {
				got = fmt.Sprintf("stands %d, worst %s, %v lacking", r.Stands, r.Worst, r.Lacks)
			}
			if r.WorstZone != "" {
				got += fmt.Sprintf(", %s lacks %v", r.WorstZone, r.ZoneLacks)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if lost := c.k > 0 && r.Lacks > 0; r.Lost() != lost {
			t.Errorf("%s: lost %v", c.name, r.Lost())
		}
	}
}

// Only hosts that are heard and take VMs give room; the VMs of the others must
// find room all the same.
func TestRoomIsWithHostsThatTake(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }
	for name, change := range map[string]func(w *world){
		"cordoned": func(w *world) { w.must(byOperator, SetCordon{Host: id(3)}) },
		"held": func(w *world) {
			m, _ := w.s.Member(id(3))
			m.Hold = "new disk"
			w.members(m)
		},
		"silent": func(w *world) {
			h, _ := w.s.Host(id(3))
			h.Beats = []Beat{{At: epoch - Time(MaxSilence) - 1, Load: h.Beats[0].Load}}
			w.s.hosts = w.s.hosts.set(h.ID, h)
		},
	} {
		w := rooms(t, nil, []Bytes{8, 8, 8}, []Bytes{4}, []Bytes{4}, []Bytes{4})
		if r := w.s.Standing(); r.Spare != 4*GiB || r.Lost() {
			t.Fatalf("before: %+v", r)
		}
		change(w)
		// What hv1 loses fits on hv2 and no more on hv3; what hv3 loses fits on
		// one of the others.
		if r := w.s.Standing(); r.Spare != 0 || r.Lacks != 0 || r.Stands != 1 || r.Worst != "hv1" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// With one host that gives room nothing is left if it fails.
func TestOneHostThatTakesIsNoReserve(t *testing.T) {
	w := rooms(t, nil, []Bytes{8, 8}, []Bytes{3}, []Bytes{2})
	w.must(byOperator, SetCordon{Host: "00000002-0000-4000-8000-000000000000"})
	w.s.Settings.FailoverHosts = 1
	if r := w.s.Standing(); !r.Lost() || r.Worst != "hv1" || r.Lacks != 3*GiB || w.s.Failover() != nil {
		t.Errorf("%+v", r)
	}
	h, _ := w.s.Host(hv1)
	h.Beats = nil
	w.s.hosts = w.s.hosts.set(hv1, h)
	if r := w.s.Standing(); r.Known || r.Lost() {
		t.Errorf("nobody is heard that takes: %+v", r)
	}
}

// What is on its way counts where it goes; if nobody knows where it ended, it
// takes room on both ends.
func TestReserveCountsMovesInFlight(t *testing.T) {
	w := newWorld(t)
	w.s.Settings.ArrivePaused = false
	f := w.s.Failover()
	if got := f.hosts[0].used; got != 2*(GiB+VMOverhead) || f.hosts[1].used != 0 {
		t.Fatalf("hv1 %v, hv2 %v", got, f.hosts[1].used)
	}
	w.ordered()
	f = w.s.Failover()
	if one := GiB + VMOverhead; f.hosts[0].used != one || f.hosts[1].used != one || len(f.hosts[0].vms) != 1 || len(f.hosts[1].vms) != 1 {
		t.Errorf("ordered: %+v", f.hosts)
	}
	w = newWorld(t)
	w.unknown()
	f = w.s.Failover()
	if one := GiB + VMOverhead; f.hosts[0].used != 2*one || f.hosts[1].used != one || len(f.hosts[0].vms) != 2 || len(f.hosts[1].vms) != 0 {
		t.Errorf("unknown: %+v", f.hosts)
	}
}

// The State refuses an automatic order that would spend the reserve, and takes
// the same from a person. hv1's VM of 4 GiB fits on hv2 alone, to the last byte.
func TestStateKeepsTheReserve(t *testing.T) {
	for _, c := range []struct {
		k       int
		target  int
		trigger Trigger
		code    Code
	}{
		{1, 2, TriggerAuto, CodeFailoverReserve},
		{1, 2, TriggerOperator, ""},
		{1, 3, TriggerAuto, ""},
		{0, 2, TriggerAuto, ""},
	} {
		w := rooms(t, nil, []Bytes{12, 8, 8}, []Bytes{1, 1, 4}, []Bytes{4}, []Bytes{5})
		w.s.Settings.FailoverHosts, w.s.Settings.WarmUp, w.s.Settings.Cooldown, w.s.Mode = c.k, 0, 0, ModeAuto
		id := func(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }
		o := w.orderOf("00000001-0000-4000-8000-000000000000", id(1), id(c.target), c.trigger)
		err := w.apply(byLeader, w.decide(o))
		if r := RefusalOf(err); (r == nil) != (c.code == "") || r != nil && r.Code != c.code {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A step is judged as it would be after it was made, from scratch: hosts, VMs
// and steps drawn, for one host to fail and for three.
func TestSpendsForetells(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	spent := 0
	for range 300 {
		n := 3 + rng.IntN(5)
		memory, vms := make([]Bytes, n), make([][]Bytes, n)
		for i := range memory {
			memory[i] = Bytes(8 + rng.IntN(8))
			for range rng.IntN(6) {
				vms[i] = append(vms[i], Bytes(1+rng.IntN(4)))
			}
		}
		w := rooms(t, []string{"a", "a", "b", "b", "", "", "", ""}[:n], memory, vms...)
		w.s.Settings.FailoverHosts = 1 + 2*rng.IntN(2)
		a, b := rng.IntN(n), rng.IntN(n)
		if a == b || len(vms[a]) == 0 {
			continue
		}
		f := w.s.Failover()
		before := f.worst
		size := vms[a][0]
		r := f.Spends(size*GiB-VMOverhead, f.hosts[a].id, f.hosts[b].id)
		if again := w.s.Failover(); !slices.EqualFunc(again.losses, f.losses, func(x, y loss) bool { return x.name == y.name && x.lacks == y.lacks && x.spare == y.spare }) {
			t.Fatal("to look changed the books")
		}
		vms[b] = append(vms[b], size)
		vms[a] = vms[a][1:]
		after := rooms(t, []string{"a", "a", "b", "b", "", "", "", ""}[:n], memory, vms...)
		after.s.Settings.FailoverHosts = w.s.Settings.FailoverHosts
		g := after.s.Failover()
		worse := false
		// The sets that are drawn are the same, the fullest need not be: the
		// losses of before are what counts.
		for _, l := range f.losses {
			lacks, _ := g.look(l.hosts)
			worse = worse || lacks > before[l.kind].lacks
		}
		if worse != (r != nil) {
			t.Fatalf("worse: %v, refused: %v", worse, r)
		}
		if r != nil {
			spent++
		}
		f.Go(size*GiB-VMOverhead, f.hosts[a].id, f.hosts[b].id)
		if f.worst[lossOfHosts].lacks != g.worst[lossOfHosts].lacks || f.worst[lossOfZone].lacks != g.worst[lossOfZone].lacks {
			t.Fatalf("taken as done: %+v, from scratch %+v", f.worst, g.worst)
		}
	}
	if spent < 10 {
		t.Errorf("only %d steps spent the reserve: the law was hardly asked", spent)
	}
}

// BenchmarkFailover builds the books of 1,000 hosts with 20,000 VMs, as the
// State does for every automatic order.
func BenchmarkFailover(b *testing.B) {
	s, _ := bigFleet(b, 1000, 20)
	b.Run("books", func(b *testing.B) {
		for b.Loop() {
			s.Failover()
		}
	})
	f := s.Failover()
	b.Run("step", func(b *testing.B) {
		for b.Loop() {
			_ = f.Spends(GiB, f.hosts[0].id, f.hosts[1].id)
		}
	})
	b.Run("standing", func(b *testing.B) {
		for b.Loop() {
			s.Standing()
		}
	})
}
