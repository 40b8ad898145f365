package scheduler

import (
	"math"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The model of contention is processor sharing: a host's CPUs are divided so
// that each vCPU gets what it demands or a level, whichever is less. The level is
// equal for all whose VMs have equal CPU shares, and in proportion to them otherwise.
//
// Worked: one CPU, four VMs of one vCPU that never sleep. Each demands a whole
// CPU and gets a quarter: steal 75 %. With one of them gone the others get a
// third each, 67 %; with two gone a half, 50 %. Beside a neighbour that wants
// only 20 %, a hungry one gets 80 %: steal 20 %, the neighbour none.
//
// What a host does for itself, and the VMs' emulator threads, takes its part
// like vCPUs do, as many threads as it keeps CPUs busy. Worked: a host of one
// CPU that is busy all the time with work of its own, and one hungry vCPU that
// comes: each gets a half, steal 50 %.
//
// Shares decide only who waits, not how much is waited for. Worked: of two hungry
// vCPUs on one CPU one has twice the usual shares, the other the usual ones. They get
// two thirds and one third, and wait 33 % and 67 %. If the first one wanted only 0.4,
// which is less than its two thirds, it would get that, and the other one the 0.6 that
// are left: it would wait 40 %.
//
// A VM's own quota bounds what it asks for, also of what piles up. Worked: two
// vCPUs that each want 0.6 of one CPU get 0.5 and fall behind, until they never
// sleep and wait 50 %. One whose quota is 0.6 goes on wanting 0.6: it waits 10 %.

// A VM that is tied to some CPUs of its host can have no more than those give: first
// they are divided among the VMs that are tied to them, or to some of them, and what
// a vCPU can get there at most is all that it asks of the host's CPUs. Worked: of a
// host's two CPUs a and b are tied to the first, c is free, and nobody ever sleeps. a
// and b get a half each, whatever c does, and c all of the other CPU: no wait. Sets that
// overlap and do not contain each other are taken each for itself.

// outlook is what the model says of a host.
type outlook struct {
	worst float64 // pain of the VM that suffers most, those of class batch left out
	sum   float64 // Σ pain × vCPUs of the same
	vcpus int     // of the same
	guest float64 // pain of the VM that came

	// The same two of all VMs, by the weights of their classes; see classWeights.
	worstWeighed, sumWeighed float64
}

// level is how much CPU a vCPU of the usual shares can get at most once one VM has
// come and another one has left; either may be nil. It is infinite without
// contention.
func (h *host) level(came, left *vm) float64 {
	free, shares := h.shared, h.shares
	if came != nil {
		free, shares = free-came.others, shares+came.allShares()
	}
	if left != nil {
		free, shares = free+left.others, shares-left.allShares()
	}
	own := h.cpus - free
	threads := int(math.Ceil(own))
	level := h.fill(came, left, max(free, 0), shares)
	if threads == 0 || own/float64(threads) <= level {
		return level // the host's own work gets all that it wants
	}
	return h.fill(came, left, h.cpus, shares+float64(threads))
}

// fill is the level at which Σ min(demand, shares × level) uses up the free CPUs:
// demands that are small for their shares are served whole, and the others share
// what remains. Of all shares, those that are no VM's want all that they can get.
func (h *host) fill(came, left *vm, free, shares float64) float64 {
	for i := 0; i < len(h.sharers) || came != nil; {
		var v *vm
		if i == len(h.sharers) || came != nil && came.calls() < h.sharers[i].calls() {
			v, came = came, nil
		} else {
			v, i = h.sharers[i], i+1
		}
		if v == left {
			continue
		}
		if level := free / shares; level < v.calls() {
			return level
		}
		free = max(free-float64(v.asks()*float64(v.vcpus)), 0)
		shares -= v.allShares()
	}
	return math.Inf(1)
}

// asks is what each vCPU of a VM asks of its host's CPUs.
func (v *vm) asks() float64 { return min(v.perVCPU, v.reach) }

// calls is the level at which that is met.
func (v *vm) calls() float64 { return v.asks() / v.shares }

// allShares are those of all its vCPUs.
func (v *vm) allShares() float64 { return float64(v.shares * float64(v.vcpus)) }

// lacking is what a vCPU is short of at a level, negative if there is more.
func (v *vm) lacking(level float64) float64 { return v.perVCPU - min(float64(v.shares*level), v.reach) }

// outlook predicts a host once one VM has come and another one has left. The
// one that came brings along how much it had to wait beyond the model, guest.
func (h *host) outlook(came, left *vm, guest float64) outlook {
	level, change := h.level(came, left), 0.0
	o := outlook{vcpus: h.vcpus}
	if came != nil {
		change += came.work()
		o.vcpus += came.vcpus
		o.guest = min(came.lacks(level)+guest, 1)
		o.add(came, o.guest)
	}
	if left != nil {
		change -= left.work()
		o.vcpus -= left.vcpus
	}
	for _, v := range h.vms {
		if v != left {
			o.add(v, v.pain(level, grown(h.work-v.work(), change)))
		}
	}
	return o
}

func (o *outlook) add(v *vm, pain float64) {
	o.worstWeighed = max(o.worstWeighed, float64(v.weight.worst*pain))
	o.sumWeighed += float64(v.weight.sum * float64(pain*float64(v.vcpus)))
	if v.weight.class == cluster.ClassBatch { // see cluster.PainOf
		o.vcpus -= v.vcpus
		return
	}
	o.worst = max(o.worst, pain)
	o.sum += float64(pain * float64(v.vcpus))
}

// lacks is what a vCPU of the VM waits at a level, as a share of wall time:
// what it is short of, and what piles up because of it.
func (v *vm) lacks(level float64) float64 {
	short := v.lacking(level)
	if short <= 0 {
		return 0
	}
	return short + float64(v.pileUp*(v.ceiling-v.perVCPU)*min(short/certain, 1))
}

// certain is a shortage that is no mere rounding: figures come in thousandths
// of a CPU.
const certain = 0.002

// pain is the VM's predicted pain at a level, when the work that it waits
// behind has grown by a factor.
func (v *vm) pain(level, grown float64) float64 {
	return min(float64(v.trust*v.lacks(level))+float64(v.extra*grown), 1)
}

// grown is the factor by which work has grown; what had no work beside it
// waits for reasons that no move changes.
func grown(work, change float64) float64 {
	if work < idle {
		return 1
	}
	return min(max(work+change, 0)/work, maxGrowth)
}

const (
	// idle is so little CPU that nobody waits behind it.
	idle = 0.01
	// maxGrowth bounds what is concluded from waiting behind little about
	// waiting behind much.
	maxGrowth = 4
)

// minTrust bounds how far measuring may discount the model: a VM that has not
// suffered yet is no proof that it never will.
const minTrust = 0.5

// calibrate lets the model start from what was measured, so that it predicts
// changes and not levels. A VM that is short of CPU shows how far its demand
// rises. What a VM waits beyond all that (bursts that collide, a window that is
// not full yet) is taken to grow and shrink with the work of the others on its
// host; where it waits less than modelled, the model is discounted.
//
// Worked: two VMs on one CPU that want half of it each, at random: the CPU is
// not overbooked and the model says 0 %, but they are measured at 12 %. Alone,
// each has nothing to wait behind: 0 %. Beside a third one of the same kind it
// waits behind twice the work: 24 % and what the model adds.
func (h *host) calibrate() {
	if h.unknown != nil {
		return
	}
	level := h.level(nil, nil)
	for _, v := range h.vms {
		v.calibrate(level)
	}
	h.now = h.outlook(nil, nil, 0)
}

func (v *vm) calibrate(level float64) {
	measured, short := v.measured.Float(), v.lacking(level)
	if short >= certain && v.perVCPU < v.ceiling {
		v.pileUp = min(max((measured-short)/(v.ceiling-v.perVCPU), 0), 1)
	}
	switch model := v.lacks(level); {
	case measured >= model:
		v.extra = measured - model
	default:
		v.trust = max(measured/model, minTrust)
	}
}

// brings is how much a VM of the host would wait beyond the model on another:
// as here, by the work per CPU that it would wait behind.
func (h *host) brings(v *vm, target *host) float64 {
	here := h.work - v.work()
	there := float64(target.work / target.cpus * h.cpus)
	return float64(v.extra * grown(here, there-here))
}

// hostPain is the figure that thresholds look at, see cluster.Pain.
func (o outlook) hostPain() cluster.Ratio {
	if o.vcpus == 0 {
		return 0
	}
	return ppm(max(o.sum/float64(o.vcpus), o.worst/2))
}

// ppm rounds a share to parts per million.
func ppm(share float64) cluster.Ratio { return cluster.Ratio(float64(share*1e6) + 0.5) }
