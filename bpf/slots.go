package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"
)

// rest keeps a slot from being used again while a program that looked its
// thread up may still write to it.
type rest struct {
	slot  uint16
	since time.Time
}

const restFor = 100 * time.Millisecond

// take gives a thread a slot. The record is written before the table points
// to it.
func (p *Probes) take(v *vm, th Thread, born bool) error {
	if th.TID <= 0 || th.TID >= p.pids {
		return fmt.Errorf("id out of the table's range 1..%d; was kernel.pid_max raised? restart evenkeeld", p.pids-1)
	}
	for id, other := range p.vms {
		if other != v && other.threads[th.TID] != nil {
			return fmt.Errorf("already counted for VM %s; untrack that first", id)
		}
	}
	p.wake()
	n := len(p.free)
	if n == 0 {
		return errors.New("all slots are taken; raise MaxThreads")
	}
	slot, tgid := p.free[n-1], v.pid
	if th.PID != 0 {
		tgid = th.PID
	}
	from := baseline{known: true}
	if !born {
		from = accountOf(tgid, th.TID)
	}
	if _, err := p.opens.WriteAt(make([]byte, openSize), int64(slot)*int64(openSize)); err != nil {
		return err
	}
	if _, err := p.threads.WriteAt(begin(th.TID, tgid, nameOf(v.index, th.role()), from), int64(slot)*int64(recordSize)); err != nil {
		return err
	}
	if err := p.point(th.TID, slot); err != nil {
		return err
	}
	p.free = p.free[:n-1]
	v.threads[th.TID] = &thread{slot: slot, start: th.Start, vcpu: th.VCPU, role: th.role()}
	delete(v.refused, th.TID)
	return nil
}

// recast gives a thread whose role became known its role, and a vCPU its
// number. What it had counted before stays with the old role, whose sum may not
// fall. A vCPU stays one.
func (p *Probes) recast(v *vm, t *thread, th Thread) error {
	role := th.role()
	if t.role == RoleVCPU {
		t.vcpu = max(t.vcpu, th.VCPU)
		return nil
	}
	if role == t.role {
		return nil
	}
	p.refresh(v, t)
	v.ended[t.role].add(t.total)
	t.total, t.role, t.vcpu = Counters{}, role, th.VCPU
	var who [4]byte
	binary.LittleEndian.PutUint32(who[:], nameOf(v.index, role))
	at := int64(t.slot)*int64(recordSize) + int64(unsafe.Offsetof(record{}.Who))
	_, err := p.threads.WriteAt(who[:], at)
	return err
}

// wake puts rested slots back.
func (p *Probes) wake() {
	now := p.now()
	for len(p.resting) > 0 && now.Sub(p.resting[0].since) >= restFor {
		p.free = append(p.free, p.resting[0].slot)
		p.resting = p.resting[1:]
	}
}

// point lets the table's cell of a thread id name a slot; 0 is untracked.
func (p *Probes) point(tid int, slot uint16) error {
	var cell [2]byte
	binary.LittleEndian.PutUint16(cell[:], slot)
	_, err := p.slots.WriteAt(cell[:], 2*int64(tid))
	return err
}

// retire takes a thread out of the table and folds its counters into the
// VM's, so that no sum falls.
func (p *Probes) retire(v *vm, tid int) {
	t := v.threads[tid]
	// Writing inside the mapped table cannot fail: take did it before.
	_ = p.point(tid, 0)
	p.refresh(v, t)
	v.ended[t.role].add(t.total)
	delete(v.threads, tid)
	p.resting = append(p.resting, rest{t.slot, p.now()})
}
