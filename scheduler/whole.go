package scheduler

import (
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/search"
)

// whole is the fleet as a problem of search: VMs that may move are its items,
// known hosts its bins, and demand now, demand in each five minutes of the past
// hour, demand now by the VMs' classes, and memory its dimensions. All else (VMs that may not move, the hosts' own
// work) is the bins' base.
//
// Processor sharing gives out every CPU that is asked for, so what the VMs of a
// host wait together is what they ask for beyond its CPUs: a function of sums,
// which the search can follow move by move. Who of them waits how long is left to
// the model of share.go, which every step has to pass afterwards.
type whole struct {
	f     *fleet
	hosts []*host
	items []item
	open  []bool // of each host: it takes VMs
	fits  [][]bool
	row   []int // of each item, its row of fits

	// Of each item, the pins that must hold and those that cost; nil without rules.
	pins, leans [][]pinned
}

type item struct {
	vm   *vm
	host int
}

// Dimensions of the problem: demand now, demand then, what the demand now counts
// by class, memory.
const (
	stretches = 12 // five minutes each
	stretch   = pastMinutes / stretches
	classDim  = 1 + stretches
	memoryDim = classDim + 1
	wholeDims = memoryDim + 1
)

// The table of cost. Its unit is a twelfth of a thousandth of a CPU that is
// waited for; the weights between terms are those of the objective (objective.go):
// a CPU that is waited for is worth half a point of worst contention, a GiB to
// copy a twentieth. Twelve stretches of the past weigh as much as the present. A
// move is worth half a CPU that is waited for in the present or in the whole past hour.
func (w *whole) terms() []search.Term {
	return []search.Term{
		search.Sum("CPUs waited for now by class, 1/1000", 12, func(bin int, use []int64) int64 { return byClass(w.short(bin, use[0]), use) }),
		search.Sum("CPUs waited for in the past hour by class, 1/1000 of five minutes", 1, w.shortThen),
		search.Sum("CPUs asked for beyond four fifths, 1/1000", 1, func(bin int, use []int64) int64 {
			return max(use[0]-int64(w.hosts[bin].load.CPUs)*4/5, 0)
		}),
		search.Largest("worst contention by class, 1/100 point", 240, w.worst),
		search.Moved("memory to copy, MiB", 1, func(i, _, _ int) int64 { return int64(w.items[i].vm.facts.MaxMemory / cluster.MiB) }),
		search.Moved("moves", 6000, func(_, _, _ int) int64 { return 1 }),
	}
}

func (w *whole) short(bin int, asked int64) int64 {
	return max(asked-int64(w.hosts[bin].load.CPUs), 0)
}

// byClass weighs what a bin's VMs wait by the classes of those that share it: a
// part of each VM's demand waits, so it counts as their demand does on average.
// Worked: of 3 CPUs asked for, latency VMs ask for 1, which counts twice: 4 thirds.
// If 0.6 CPUs are waited for, they count 0.8.
func byClass(waited int64, use []int64) int64 {
	if use[0] == 0 {
		return 0
	}
	return waited * use[classDim] / use[0]
}

func (w *whole) shortThen(bin int, use []int64) (sum int64) {
	for _, asked := range use[1:classDim] {
		sum += w.short(bin, asked)
	}
	return byClass(sum, use)
}

// worst is what each VM of a bin would wait if all of them were hungry, by their
// classes on average.
func (w *whole) worst(bin int, use []int64) int64 {
	if short := w.short(bin, use[0]); short > 0 {
		return byClass(short*10_000/use[0], use)
	}
	return 0
}

// whole makes a problem of the given hosts; the unknown ones have no part in it.
func (f *fleet) whole(hosts []*host, most int) (*whole, search.Problem) {
	w := &whole{f: f}
	for _, h := range hosts {
		if h.unknown == nil {
			w.hosts = append(w.hosts, h)
			w.open = append(w.open, f.takes(h) == nil)
		}
	}
	p := search.Problem{
		Bins: len(w.hosts), Base: make([]int64, len(w.hosts)*wholeDims), Capacity: make([]int64, len(w.hosts)*wholeDims),
		Dims: make([]search.Dim, wholeDims), Terms: w.terms(),
	}
	p.Dims[memoryDim] = search.Dim{Name: "memory"} // not transient: moves come one after the other, see carry
	for b, h := range w.hosts {
		base := p.Base[b*wholeDims : (b+1)*wholeDims]
		capacity := p.Capacity[b*wholeDims : (b+1)*wholeDims]
		for d := range capacity {
			capacity[d] = search.Unlimited
		}
		capacity[memoryDim] = int64(f.set.Room(h.load.Memory))
		w.own(h, base)
		for _, v := range h.vms {
			if v.arriving || f.mayMove(h, v) != nil {
				w.weighs(v, base)
				continue
			}
			w.items = append(w.items, item{v, b})
			p.Initial = append(p.Initial, int32(b))
			size := make([]int64, wholeDims)
			w.weighs(v, size)
			size[memoryDim] = int64(v.facts.MaxMemory + cluster.VMOverhead)
			base[memoryDim] -= size[memoryDim]
			p.Size = append(p.Size, size...)
		}
		base[memoryDim] = max(base[memoryDim], 0)
	}
	p.Items = len(w.items)
	w.compare()
	p.Rules = []search.Rule{search.Allow("may", w.may), search.AtMost("moves", most)}
	w.rule(&p)
	return w, p
}

// own is what a host asks for itself, and the memory that is charged to it.
func (w *whole) own(h *host, base []int64) {
	now := int64(h.immovable*1000 + 0.5)
	base[0], base[classDim], base[memoryDim] = now, now, int64(h.memory.Most)
	rest := w.f.past(h).rest
	for k := range stretches {
		base[1+k] = mean(rest[k*stretch:(k+1)*stretch], now)
	}
}

// weighs adds what a VM asks for, now and then.
func (w *whole) weighs(v *vm, row []int64) {
	now := int64(v.work()*1000 + 0.5)
	row[0] += now
	row[classDim] += int64(float64(v.weight.sum*float64(now)) + 0.5)
	then := w.f.remember(v)
	for k := range stretches {
		if then == nil {
			row[1+k] += now
			continue
		}
		row[1+k] += min(mean(then[k*stretch:(k+1)*stretch], now), int64(v.atMost()))
	}
}

// mean is that of the known minutes, or what stands for them.
func mean(of []cluster.MilliCPU, unknown int64) int64 {
	sum, n := int64(0), int64(0)
	for _, m := range of {
		if m != unknownMinute {
			sum, n = sum+int64(m), n+1
		}
	}
	if n == 0 {
		return unknown
	}
	return sum / n
}

// compare holds each kind of VM against each host once: what VMs need and hosts
// offer is the same for many.
func (w *whole) compare() {
	rows := map[pair]int{}
	for _, it := range w.items {
		kind := pair{need: it.vm.need, from: it.vm.from}
		row, known := rows[kind]
		if !known {
			row = len(w.fits)
			rows[kind] = row
			w.fits = append(w.fits, w.fitsOf(it.vm))
		}
		w.row = append(w.row, row)
	}
}

func (w *whole) fitsOf(v *vm) []bool {
	out := make([]bool, len(w.hosts))
	for b, h := range w.hosts {
		fit := w.f.goes(v, h)
		out[b] = fit.all == nil && (w.f.asked || fit.auto == nil && described(w.f, v, h) == nil)
	}
	return out
}

func (w *whole) may(item, bin int) bool {
	return w.open[bin] && w.fits[w.row[item]][bin] && w.pinsAllow(item, bin) || bin == w.items[item].host
}
