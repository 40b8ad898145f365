package cluster

import "time"

// trend writes a host's minutes: chunks as they are, the present minute's sums
// exactly, for later beats add to them.
func (w *writer) trend(t *trend) {
	w.uint(uint64(len(t.chunks)))
	for _, c := range t.chunks {
		w.uint(uint64(c.minutes))
		w.text(c.data)
	}
	w.uint(uint64(t.now.minute))
	w.sum(&t.now.host)
	w.uint(uint64(len(t.now.vms)))
	for i := range t.now.vms {
		w.uint(uint64(t.now.vms[i].slot))
		w.sum(&t.now.vms[i].sum)
	}
	w.uint(uint64(len(t.born)))
	for _, b := range t.born {
		w.uint(uint64(b.slot))
		w.num(int64(b.at), wireMillisecond)
	}
}

func (w *writer) sum(s *sum) {
	w.uint(uint64(s.weight))
	w.int(s.cpu)
	w.int(s.pain)
	w.int(int64(s.cpuMax))
	w.int(int64(s.painMax))
}

func (r *reader) trend() (t trend) {
	for range r.count(MaxMinutes+chunkMinutes, 2, "chunks of minutes") {
		c := chunk{minutes: r.count(chunkMinutes, 1, "minutes")}
		c.data = string(r.bytes(MaxDigestBytes, "bytes of minutes"))
		if _, err := c.read(nil); err != nil {
			r.fail("%v", err)
			return t
		}
		if c.minutes == 0 {
			r.fail("a chunk without minutes")
			return t
		}
		t.chunks = append(t.chunks, c)
	}
	t.now.minute = int64(min(r.uint(), uint64(maxTime)/uint64(time.Minute)))
	t.now.host = r.sum()
	last := int64(-1)
	for range r.count(MaxSlot, 6, "sums of VMs") {
		s := slotSum{slot: r.slot(&last), sum: r.sum()}
		t.now.vms = append(t.now.vms, s)
	}
	last = -1
	for range r.count(MaxVMsPerHost, 2, "births") {
		t.born = append(t.born, birth{r.slot(&last), Time(r.num(wireMillisecond))})
	}
	return t
}

// slot reads a slot above the last one.
func (r *reader) slot(last *int64) uint32 {
	slot := int64(min(r.uint(), MaxSlot))
	if slot >= MaxSlot || slot <= *last {
		r.fail("slot %d is repeated, out of order or too large", slot)
		return 0
	}
	*last = slot
	return uint32(slot)
}

func (r *reader) sum() (s sum) {
	s.weight = uint32(r.uint())
	s.cpu, s.pain = r.int(), r.int()
	s.cpuMax, s.painMax = int32(r.int()), int32(r.int())
	return s
}
