package scheduler_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// lacking is the memory that the worst loss of one host lacks, told from the
// made-up fleet: the largest VM first, on the first of the hosts by room, and
// what finds none on what is left of the emptiest.
func (f *fleet) lacking() (worst cluster.Bytes) {
	if len(f.heard()) < 2 {
		return 0
	}
	for _, lost := range f.hosts {
		worst = max(worst, f.lacks(lost))
	}
	return worst
}

func (f *fleet) heard() []*host {
	return slices.DeleteFunc(slices.Clone(f.hosts), func(h *host) bool { return h.silent })
}

func (h *host) room() cluster.Bytes {
	room := h.memory
	for _, v := range h.vms {
		room -= v.MaxMemory + cluster.VMOverhead
	}
	return room
}

func (f *fleet) lacks(lost *host) (lacks cluster.Bytes) {
	left := slices.DeleteFunc(f.heard(), func(h *host) bool { return h == lost })
	slices.SortStableFunc(left, func(a, b *host) int { return int(b.room() - a.room()) })
	room := make([]cluster.Bytes, len(left))
	for i, h := range left {
		room[i] = h.room()
	}
	vms := slices.Clone(lost.vms)
	slices.SortFunc(vms, func(a, b *vm) int { return int(b.MaxMemory - a.MaxMemory) })
	for _, v := range vms {
		need := v.MaxMemory + cluster.VMOverhead
		at := slices.IndexFunc(room, func(r cluster.Bytes) bool { return r >= need })
		if at >= 0 {
			room[at] -= need
			continue
		}
		at = slices.Index(room, slices.Max(room))
		lacks += need - max(room[at], 0)
		room[at] = min(room[at], 0)
	}
	return lacks
}

// The reserve is never spent by choice: after every step of a plan the worst
// loss of a host lacks no more memory than before, and none if it lacked none.
func TestLawReserveIsNotSpent(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		before := f.lacking()
		for i, m := range f.plan().Moves {
			from, v := f.find(m.VMName)
			f.shift(v, from, f.host(f.nameOf(m.Target)))
			if after := f.lacking(); after > before {
				t.Fatalf("step %d, %s to %s: the worst loss lacks %v, %v before", i, m.VMName, f.nameOf(m.Target), after, before)
			}
		}
	})
}

// Without the setting nothing is refused for the reserve, and what was refused
// for it alone is looked at.
func TestLawReserveBindsWhereItIsSet(t *testing.T) {
	forAllFleets(t, everyPolicy, func(t *rapid.T, s spec, f *fleet) {
		set := f.state.Settings
		set.FailoverHosts = 0
		f.must(operator, cluster.SetSettings{Settings: set})
		r := f.plan()
		for _, c := range r.Counts {
			if c.Code == cluster.CodeFailoverReserve {
				t.Fatalf("%d moves are refused for a reserve that nobody wants", c.N)
			}
		}
	})
}

// BenchmarkReserve plans for 1,000 hosts with 20,000 VMs, of which one in ten
// hosts suffers: with room to spare, and where the loss of a host just fits.
func BenchmarkReserve(b *testing.B) {
	for name, memory := range map[string]cluster.Bytes{"roomy": 64, "tight": 26} {
		for _, k := range []int{0, 1, 2} {
			b.Run(fmt.Sprintf("%s/k=%d", name, k), func(b *testing.B) {
				f := newFleet(b)
				set := f.state.Settings
				set.PerCluster, set.FailoverHosts = 3, k
				f.must(operator, cluster.SetSettings{Settings: set})
				for i := range 1000 {
					h := f.addHost(fmt.Sprintf("hv%d", i))
					h.cpus, h.memory = 16_000, memory*cluster.GiB
					f.announce(h)
					for j := range 20 {
						v := f.addVM(fmt.Sprintf("vm%d-%d", i, j), h.name)
						v.VCPUs, v.demand = 2, cluster.MilliCPU(300+(i*131+j*71)%500)
						if i%10 == 0 {
							v.demand = 2000
						}
					}
				}
				f.wait(f.every)
				for b.Loop() {
					scheduler.Plan(scheduler.Input{State: f.state})
				}
			})
		}
	}
}
