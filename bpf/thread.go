package bpf

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"
)

// record is struct ek_thread of include/thread.h, byte for byte; a test holds
// the two against each other through BTF. So it is with the others.
type (
	record     = schedEkThread
	openRecord = schedEkOpen
	cpuRecord  = schedEkCpu
)

const (
	recordSize = int(unsafe.Sizeof(record{}))
	openSize   = int(unsafe.Sizeof(openRecord{}))
	cpuSize    = int(unsafe.Sizeof(cpuRecord{}))

	seenAll = 3 // both baselines are set
	// unsampled is the cell of waits that were not split.
	unsampled = int(Causes)
)

// slotsPerPage is the number of thread ids that one value of the map covers.
const slotsPerPage = len(schedEkSlots{}.Slot)

// The names that the kernel side gives to whoever runs on a CPU, as who.h has
// them.
const (
	whoVM   = 4 << 28
	whoVCPU = 1 << 16
)

// decode reads a record from the map's memory.
func decode(b []byte) (r record) {
	le := binary.LittleEndian
	r.WaitNs, r.RunNs, r.Waits = le.Uint64(b[0:]), le.Uint64(b[8:]), le.Uint64(b[16:])
	r.Accounted, r.Exec = le.Uint64(b[24:]), le.Uint64(b[32:])
	r.Group, r.Throttled, r.MovedNs = le.Uint64(b[40:]), le.Uint64(b[48:]), le.Uint64(b[56:])
	at := int(unsafe.Offsetof(r.Split))
	for i := range r.Split {
		r.Split[i] = le.Uint64(b[at+8*i:])
	}
	at = int(unsafe.Offsetof(r.Hosts))
	for i := range r.Hosts {
		h := b[at+16*i:]
		r.Hosts[i].Ns, r.Hosts[i].Tgid, r.Hosts[i].Pad = le.Uint64(h), le.Uint32(h[8:]), le.Uint32(h[12:])
	}
	at = int(unsafe.Offsetof(r.Tid))
	for i, field := range []*uint32{&r.Tid, &r.Tgid, &r.Seen, &r.Pcount, &r.Who, &r.Quota} {
		*field = le.Uint32(b[at+4*i:])
	}
	at = int(unsafe.Offsetof(r.Latency))
	for i := range r.Latency {
		r.Latency[i] = le.Uint32(b[at+4*i:])
	}
	return r
}

// torn says that a record was copied while the kernel was between adding a
// wait and putting all of it down to causes.
func torn(r *record) bool {
	var sum uint64
	for _, ns := range r.Split {
		sum += ns
	}
	return sum != r.WaitNs
}

// baseline is what a thread's account stood at when its counting began. Without
// one the kernel side begins at the first switch that it sees.
type baseline struct {
	execNS, delayNS, waits uint64
	known                  bool
}

// accountOf reads a thread's account as the kernel shows it, which holds the
// very fields that the probe goes on from. A thread that has ended has none.
func accountOf(pid, tid int) (b baseline) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, tid))
	if err != nil {
		return baseline{}
	}
	n, err := fmt.Sscan(string(text), &b.execNS, &b.delayNS, &b.waits)
	b.known = err == nil && n == 3
	return b
}

// begin is the record of a thread before its first event. One that was born
// under our eyes counts from its birth, a zero baseline.
func begin(tid, tgid int, who uint32, from baseline) []byte {
	b := make([]byte, recordSize)
	var r record
	put := func(at uintptr, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	put(unsafe.Offsetof(r.Tid), uint32(tid))
	put(unsafe.Offsetof(r.Tgid), uint32(tgid))
	put(unsafe.Offsetof(r.Who), who)
	if from.known {
		put(unsafe.Offsetof(r.Seen), seenAll)
		put(unsafe.Offsetof(r.Pcount), uint32(from.waits))
		binary.LittleEndian.PutUint64(b[unsafe.Offsetof(r.Exec):], from.execNS)
		binary.LittleEndian.PutUint64(b[unsafe.Offsetof(r.Accounted):], from.delayNS)
	}
	return b
}

// nameOf is how the books call a VM's thread.
func nameOf(index uint16, role Role) uint32 {
	who := uint32(whoVM) | uint32(index)
	if role == RoleVCPU {
		who |= whoVCPU
	}
	return who
}
