package cluster

import (
	"fmt"
	"math/bits"
	"time"
)

// vmFigures counts the figures of a VM that a digest tells.
const vmFigures = 11

// figures lists a VM's figures in the order of their bits in the mask: those
// that are seldom zero first, so that the mask most often is one byte. The
// order stands for ever.
func (v *VMLoad) figures() [vmFigures]int64 {
	return [vmFigures]int64{
		int64(v.Run), int64(v.Demand), int64(v.Wait), int64(v.Others), int64(v.Steal), int64(v.StealMax), int64(v.P99),
		int64(v.P50), int64(v.P999), int64(v.Contention), int64(v.ContentionMax),
	}
}

func (v *VMLoad) setFigures(f [vmFigures]int64) {
	v.Run, v.Demand, v.Wait, v.Others = MilliCPU(f[0]), MilliCPU(f[1]), MilliCPU(f[2]), MilliCPU(f[3])
	v.Steal, v.StealMax, v.Contention, v.ContentionMax = Ratio(f[4]), Ratio(f[5]), Ratio(f[9]), Ratio(f[10])
	v.P99, v.P50, v.P999 = time.Duration(f[6]), time.Duration(f[7]), time.Duration(f[8])
}

// vmScales are the scales of the figures.
var vmScales = [vmFigures]*scale{
	cpuScale, cpuScale, cpuScale, cpuScale, ratioScale, ratioScale, latencyScale, latencyScale, latencyScale, ratioScale, ratioScale,
}

// The bits of the mask above the figures.
const (
	vmSettling = 1 << (vmFigures + iota)
	vmPoller
	vmExact // figures that are on no scale follow as numbers
	vmAllBits
)

// vms writes slots as distances, a mask of what is not zero, and the figures:
// a byte each if all are on their scales.
func (w *writer) vms(vms []VMLoad) error {
	w.uint(uint64(len(vms)))
	if len(vms) > MaxVMsPerHost {
		return fmt.Errorf("figures of %d VMs, at most %d", len(vms), MaxVMsPerHost)
	}
	next := uint32(0)
	for i := range vms {
		v := &vms[i]
		if v.Slot < next || v.Slot >= MaxSlot {
			return fmt.Errorf("slot %d is repeated, out of order or too large", v.Slot)
		}
		w.uint(uint64(v.Slot - next))
		next = v.Slot + 1
		w.vm(v)
	}
	return nil
}

func (w *writer) vm(v *VMLoad) {
	var codes [vmFigures]byte
	mask, short := uint64(0), true
	figures := v.figures()
	for i, f := range figures {
		if f != 0 {
			mask |= 1 << i
		}
		code, ok := vmScales[i].exact(f)
		codes[i], short = code, short && ok
	}
	for _, flag := range []struct {
		on  bool
		bit uint64
	}{{v.Settling, vmSettling}, {v.Poller, vmPoller}, {!short, vmExact}} {
		if flag.on {
			mask |= flag.bit
		}
	}
	w.uint(mask)
	for i, f := range figures {
		switch {
		case f == 0:
		case short:
			w.byte(codes[i])
		default:
			w.int(f)
		}
	}
}

func (r *reader) vms() []VMLoad {
	n := r.count(MaxVMsPerHost, 2, "VMs")
	if n == 0 {
		return nil
	}
	out := make([]VMLoad, n)
	next := uint64(0)
	for i := range out {
		slot := next + min(r.uint(), MaxSlot)
		if slot >= MaxSlot {
			r.fail("VM %d of %d: slot %d, at most %d", i+1, n, slot, MaxSlot-1)
		}
		if r.err != nil {
			return nil
		}
		next = slot + 1
		out[i].Slot = uint32(slot)
		r.vm(&out[i])
	}
	if r.err != nil {
		return nil
	}
	return out
}

func (r *reader) vm(v *VMLoad) {
	mask := r.uint()
	if mask >= vmAllBits {
		r.fail("slot %d: figures %#x are not known", v.Slot, mask)
		return
	}
	v.Settling, v.Poller = mask&vmSettling != 0, mask&vmPoller != 0
	exact := mask&vmExact != 0
	var figures [vmFigures]int64
	for rest := mask & (1<<vmFigures - 1); rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if exact {
			figures[i] = r.int()
			continue
		}
		code := int(r.byte())
		if code >= len(vmScales[i].values) {
			r.fail("slot %d: figure %d has code %d", v.Slot, i, code)
			return
		}
		figures[i] = vmScales[i].values[code]
	}
	v.setFigures(figures)
}

// changed lists the VMs whose figures differ from the base's.
func changed(base, vms []VMLoad) []VMLoad {
	if len(base) == 0 {
		return vms
	}
	var out []VMLoad
	for _, v := range vms {
		for len(base) > 0 && base[0].Slot < v.Slot {
			base = base[1:]
		}
		if len(base) == 0 || base[0] != v {
			out = append(out, v)
		}
	}
	return out
}

// covers says whether every slot of the base is listed: only then is a delta
// enough.
func covers(vms, base []VMLoad) bool {
	for _, v := range base {
		for len(vms) > 0 && vms[0].Slot < v.Slot {
			vms = vms[1:]
		}
		if len(vms) == 0 || vms[0].Slot != v.Slot {
			return false
		}
	}
	return true
}

// merge lays changed VMs over a base. Without a change the base itself stands:
// beats share it.
func merge(base, news []VMLoad) []VMLoad {
	switch {
	case len(news) == 0:
		return base
	case len(base) == 0:
		return news
	}
	out := make([]VMLoad, 0, max(len(base), len(news)))
	for _, v := range news {
		for len(base) > 0 && base[0].Slot < v.Slot {
			out = append(out, base[0])
			base = base[1:]
		}
		if len(base) > 0 && base[0].Slot == v.Slot {
			base = base[1:]
		}
		out = append(out, v)
	}
	return append(out, base...)
}
