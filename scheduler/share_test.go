package scheduler

import (
	"math"
	"slices"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"pgregory.net/rapid"
)

// drawShared draws a host and its VMs, each with shares of its own.
func drawShared(t *rapid.T) *host {
	h := &host{cpus: float64(rapid.IntRange(1, 8).Draw(t, "cpus"))}
	h.immovable = float64(rapid.IntRange(0, 500).Draw(t, "own")) / 1000
	for range rapid.IntRange(1, 12).Draw(t, "vms") {
		v := &vm{vcpus: rapid.IntRange(1, 4).Draw(t, "vcpus"), trust: 1, ceiling: 1, reach: 1}
		v.perVCPU = float64(rapid.IntRange(0, 1000).Draw(t, "demand")) / 1000
		v.demand = v.perVCPU * float64(v.vcpus)
		v.shares = float64(rapid.IntRange(1, 1000).Draw(t, "shares")) / 100
		h.vms = append(h.vms, v)
	}
	return h
}

// gets is what each of the host's VMs gets per vCPU, by the model.
func (h *host) gets() []float64 {
	vms := slices.Clone(h.vms)
	h.vms = slices.Clone(vms)
	h.arrange()
	level := h.level(nil, nil)
	out := make([]float64, len(vms))
	for i, v := range vms {
		out[i] = v.perVCPU - max(v.lacking(level), 0)
	}
	h.vms = vms
	return out
}

// All that is there is given out, and nobody who lacks anything gets less for his
// shares than another one gets.
func TestLawSharesAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawShared(t)
		gets, used, asked, least, most := h.gets(), 0.0, 0.0, math.Inf(1), 0.0
		for i, v := range h.vms {
			used += gets[i] * float64(v.vcpus)
			asked += v.demand
			if gets[i] < v.perVCPU-1e-9 {
				least = min(least, gets[i]/v.shares)
			}
			most = max(most, gets[i]/v.shares)
		}
		if most > least+1e-9 {
			t.Fatalf("one gets %v for a share, and one who lacks some %v", most, least)
		}
		own := min(h.immovable, least*math.Ceil(h.cpus)) // it shares like a VM of usual shares
		if left := h.cpus - own - used; asked-used > 1e-9 && math.Abs(left) > 1e-6 {
			t.Fatalf("%v CPUs are left over, and %v are lacking", left, asked-used)
		}
	})
}

// Whom everybody is like, nobody is given more than: equal shares are as good as none.
func TestLawEqualSharesAreNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawShared(t)
		h.immovable = 0 // whose shares are the usual ones
		factor := rapid.SampledFrom([]float64{0.25, 0.5, 2, 4, 64}).Draw(t, "shares")
		for _, v := range h.vms {
			v.shares = 1
		}
		usual := h.gets()
		for _, v := range h.vms {
			v.shares = factor
		}
		if got := h.gets(); !slices.Equal(usual, got) {
			t.Fatalf("%v with the usual shares, %v with %v times those", usual, got, factor)
		}
	})
}

// More shares are never to the harm of the VM that has them, nor to the good of another.
func TestLawMoreSharesDoNoHarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawShared(t)
		before := h.gets()
		i := rapid.IntRange(0, len(h.vms)-1).Draw(t, "who")
		h.vms[i].shares *= 1 + float64(rapid.IntRange(0, 900).Draw(t, "more"))/100
		for j, got := range h.gets() {
			if j == i && got < before[j]-1e-9 || j != i && got > before[j]+1e-9 {
				t.Fatalf("VM %d had %v; VM %d got more shares, and it has %v", j, before[j], i, got)
			}
		}
	})
}

// VMs that are tied to CPUs get no more than those have, and being tied to all of
// them is being free.
func TestLawTiedVMsShareTheirCPUs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawShared(t)
		free := h.gets()
		sets := []cluster.CPUSet{"", "0", "0-1", "1", "0-3", "2-3", "0-7"}
		all := &cluster.Need{CPUs: "0-15"}
		for _, v := range h.vms {
			v.need = all
		}
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
		if got := h.gets(); !slices.EqualFunc(free, got, near) {
			t.Fatalf("%v without sets, %v with one of all CPUs", free, got)
		}
		for _, v := range h.vms {
			v.need = &cluster.Need{CPUs: rapid.SampledFrom(sets).Draw(t, "set")}
		}
		gets := h.gets()
		for _, set := range sets[1:] {
			sum := 0.0
			for i, v := range h.vms {
				if v.need.CPUs != "" && v.need.CPUs.Within(set) {
					sum += gets[i] * float64(v.vcpus)
				}
			}
			if sum > float64(set.Count())+1e-9 {
				t.Fatalf("%v CPUs are had of those in %s", sum, set)
			}
		}
	})
}
