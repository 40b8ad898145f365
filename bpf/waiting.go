package bpf

import (
	"encoding/binary"
	"io"
	"unsafe"
)

// lookAtOpen lets the kernel write down, for every vCPU thread, what has not
// ended.
func (p *Probes) lookAtOpen() error {
	if p.iter == nil {
		return nil
	}
	var none [8]byte
	for _, v := range p.vms {
		for _, t := range v.threads {
			if t.role != RoleVCPU {
				continue
			}
			at := int64(t.slot)*int64(openSize) + int64(unsafe.Offsetof(openRecord{}.Seen))
			if _, err := p.opens.WriteAt(none[:], at); err != nil {
				return err
			}
		}
	}
	pass, err := p.iter.Open()
	if err != nil {
		return err
	}
	defer pass.Close()
	_, err = io.Copy(io.Discard, pass) // it prints nothing, it fills the map
	return err
}

// readOpen adds to a vCPU what has not ended. t was refreshed after the pass,
// so what the pass saw open may have been completed since.
func (p *Probes) readOpen(t *thread, c *VCPU) error {
	if p.iter == nil {
		return nil
	}
	buf := make([]byte, openSize)
	if _, err := p.opens.ReadAt(buf, int64(t.slot)*int64(openSize)); err != nil {
		return err
	}
	o := decodeOpen(buf)
	if o.Seen == 0 { // it was being switched, or has ended
		o = openRecord{}
	}
	c.OpenRunNS = t.shownRun.above(t.last.RunNs, o.RunNs+o.OpenRunNs)
	c.OpenWaitNS = t.shownWait.above(t.last.WaitNs, o.WaitNs+o.OpenWaitNs)
	c.OpenQuotaNS = min(o.OpenQuotaNs, c.OpenWaitNS)
	return nil
}

func decodeOpen(b []byte) openRecord {
	le := binary.LittleEndian
	return openRecord{
		WaitNs: le.Uint64(b[0:]), RunNs: le.Uint64(b[8:]), OpenWaitNs: le.Uint64(b[16:]),
		OpenRunNs: le.Uint64(b[24:]), OpenQuotaNs: le.Uint64(b[32:]), Seen: le.Uint64(b[40:]),
	}
}

// mark is the highest sum of completed and open time that was ever shown.
type mark uint64

// above raises the mark to the sum seen and returns how far it lies above what
// is completed. The clocks of two CPUs may differ by a little, and then the
// completed part takes a while to catch up; the sum stands still meanwhile.
func (m *mark) above(completed, seen uint64) uint64 {
	*m = max(*m, mark(seen), mark(completed))
	return uint64(*m) - completed
}
