package bpf

import (
	"encoding/binary"
	"unsafe"
)

// record is struct ek_thread of include/thread.h, byte for byte; a test holds
// the two against each other through BTF.
type record = schedEkThread

const (
	recordSize = int(unsafe.Sizeof(record{}))
	seenAll    = 3 // both baselines are set
)

// slotsPerPage is the number of thread ids that one value of the map covers.
const slotsPerPage = len(schedEkSlots{}.Slot)

// decode reads a record from the map's memory.
func decode(b []byte) (r record) {
	le := binary.LittleEndian
	r.WaitNs, r.RunNs, r.Waits = le.Uint64(b[0:]), le.Uint64(b[8:]), le.Uint64(b[16:])
	r.Accounted, r.Exec, r.SwitchedIn = le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	r.Tid, r.Tgid, r.Seen, r.Pcount = le.Uint32(b[48:]), le.Uint32(b[52:]), le.Uint32(b[56:]), le.Uint32(b[60:])
	for i := range r.Latency {
		r.Latency[i] = le.Uint32(b[64+4*i:])
	}
	return r
}

// begin is the record of a thread before its first event. One that was born
// under our eyes counts from its birth; one that was there already from the
// first event, whose baseline the kernel fills in.
func begin(tid, tgid int, born bool) []byte {
	b := make([]byte, recordSize)
	binary.LittleEndian.PutUint32(b[48:], uint32(tid))
	binary.LittleEndian.PutUint32(b[52:], uint32(tgid))
	if born {
		binary.LittleEndian.PutUint32(b[56:], seenAll)
	}
	return b
}
