package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Probes is the one door to what runs in the kernel. Its methods may be
// called from several goroutines.
type Probes struct {
	coll                 *ebpf.Collection
	link                 link.Link
	slots, threads, lost *ebpf.Memory
	pids                 int

	mu      sync.Mutex
	vms     map[string]*vm
	free    []uint16 // slots nobody uses, the next one last
	resting []rest   // slots that were given back a moment ago
	now     func() time.Time

	features []Feature
	level    Level
}

// rest keeps a slot from being used again while a program that looked its
// thread up may still write to it.
type rest struct {
	slot  uint16
	since time.Time
}

const restFor = 100 * time.Millisecond

// vm is what user space keeps of a tracked VM.
type vm struct {
	since   time.Time
	pid     int
	threads map[int]*thread // by tid
	others  Counters        // of ended threads that were no vCPUs
	retired Counters        // of ended vCPU threads
	refused map[int]bool    // threads that got no slot: they are not new when they get one
}

type thread struct {
	slot  uint16
	start uint64 // its start time: a reused id has another
	vcpu  int    // number, or -1
	total Counters
	last  record
}

// Target is a VM whose threads are to be counted.
type Target struct {
	VM      string // UUID
	PID     int    // QEMU's process
	Threads []Thread
}

// Thread is one of the process's threads as /proc shows them.
type Thread struct {
	TID   int
	Start uint64 // start time in any unit: it only tells a reused id apart
	VCPU  int    // the vCPU's number, -1 for every other thread
	Role  Role   // what it does; RoleVCPU for a vCPU whatever stands here
	// PID is the process that it belongs to if that is not the VM's: before 6.4 a
	// vhost worker is a kernel thread by itself. 0 is the VM's.
	PID int
}

func newProbes(threads, pids int) *Probes {
	p := &Probes{pids: pids, vms: map[string]*vm{}, now: time.Now}
	for slot := threads; slot >= 1; slot-- {
		p.free = append(p.free, uint16(slot))
	}
	return p
}

// Close detaches the program and frees the maps.
func (p *Probes) Close() error {
	var err error
	if p.link != nil {
		err = p.link.Close()
	}
	if p.coll != nil {
		p.coll.Close()
	}
	return err
}

// Detach stops counting; the counters stay readable. Tests use it to see
// themselves fail.
func (p *Probes) Detach() error { return p.link.Close() }

// Track follows a VM's threads. It is called again and again with the threads
// that exist now: new ones are taken in, and what ended ones had counted stays
// in the VM's sums. A VM whose process changed begins anew.
func (p *Probes) Track(t Target) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.vms[t.VM]
	if v != nil && v.pid != t.PID {
		p.untrack(t.VM)
		v = nil
	}
	first := v == nil
	if first {
		v = &vm{since: p.now(), pid: t.PID, threads: map[int]*thread{}, refused: map[int]bool{}}
		p.vms[t.VM] = v
	}
	p.retireMissing(v, t.Threads)
	var errs []error
	for _, th := range t.Threads {
		if have := v.threads[th.TID]; have != nil {
			p.recast(v, have, th.VCPU)
			continue
		}
		if err := p.take(v, th, !first && !v.refused[th.TID]); err != nil {
			v.refused[th.TID] = true
			errs = append(errs, fmt.Errorf("track thread %d of VM %s: %w", th.TID, t.VM, err))
		}
	}
	return errors.Join(errs...)
}

// retireMissing ends the threads that are gone or whose id was reused.
func (p *Probes) retireMissing(v *vm, present []Thread) {
	starts := make(map[int]uint64, len(present))
	for _, th := range present {
		starts[th.TID] = th.Start
	}
	for tid := range v.refused {
		if _, there := starts[tid]; !there {
			delete(v.refused, tid)
		}
	}
	for tid, th := range v.threads {
		if start, there := starts[tid]; !there || start != th.start {
			p.retire(v, tid)
		}
	}
}

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
	slot := p.free[n-1]
	if _, err := p.threads.WriteAt(begin(th.TID, v.pid, born), int64(slot)*int64(recordSize)); err != nil {
		return err
	}
	if err := p.point(th.TID, slot); err != nil {
		return err
	}
	p.free = p.free[:n-1]
	t := &thread{slot: slot, start: th.Start, vcpu: th.VCPU}
	v.threads[th.TID] = t
	delete(v.refused, th.TID)
	return nil
}

// recast gives a thread that turned out to be a vCPU its number. What it had
// counted before stays with the others, whose sum may not fall.
func (p *Probes) recast(v *vm, t *thread, vcpu int) {
	if t.vcpu >= 0 || vcpu < 0 {
		t.vcpu = max(t.vcpu, vcpu)
		return
	}
	p.refresh(t)
	v.others.add(t.total)
	t.total, t.vcpu = Counters{}, vcpu
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
	p.refresh(t)
	if t.vcpu >= 0 {
		v.retired.add(t.total)
	} else {
		v.others.add(t.total)
	}
	delete(v.threads, tid)
	p.resting = append(p.resting, rest{t.slot, p.now()})
}

// Untrack stops following a VM; its counters are gone.
func (p *Probes) Untrack(vm string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.untrack(vm)
}

func (p *Probes) untrack(id string) {
	v := p.vms[id]
	if v == nil {
		return
	}
	for tid := range v.threads {
		p.retire(v, tid)
	}
	delete(p.vms, id)
}

// Tracked lists the VMs that are followed, sorted.
func (p *Probes) Tracked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]string, 0, len(p.vms))
	for id := range p.vms {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Read brings all counters up to date. It makes no system call.
func (p *Probes) Read() (Reading, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Reading{VMs: make(map[string]VM, len(p.vms)), Level: p.level}
	for id, v := range p.vms {
		r.VMs[id] = p.read(v)
	}
	var cells [24]byte
	if _, err := p.lost.ReadAt(cells[:], 0); err != nil {
		return Reading{}, fmt.Errorf("probe: read: %w", err)
	}
	r.Absurd, r.Foreign = binary.LittleEndian.Uint64(cells[0:]), binary.LittleEndian.Uint64(cells[8:])
	r.Missed = binary.LittleEndian.Uint64(cells[16:])
	return r, nil
}

func (p *Probes) read(v *vm) VM {
	out := VM{Since: v.since, Others: v.others, Retired: v.retired}
	for tid, t := range v.threads {
		p.refresh(t)
		if t.vcpu < 0 {
			out.Others.add(t.total)
			continue
		}
		out.VCPUs = append(out.VCPUs, VCPU{Number: t.vcpu, TID: tid, Counters: t.total})
	}
	slices.SortFunc(out.VCPUs, func(a, b VCPU) int { return a.Number - b.Number })
	return out
}

// refresh adds to a thread's totals what the kernel counted since the last
// look. The kernel's buckets are 32 bits wide and may wrap; the difference of
// two looks is right as long as fewer than 2^32 waits lie between them.
func (p *Probes) refresh(t *thread) {
	buf := make([]byte, recordSize)
	if _, err := p.threads.ReadAt(buf, int64(t.slot)*int64(recordSize)); err != nil {
		return // the memory is mapped for as long as p lives
	}
	now := decode(buf)
	t.total.RunNS += now.RunNs - t.last.RunNs
	t.total.WaitNS += now.WaitNs - t.last.WaitNs
	t.total.Waits += now.Waits - t.last.Waits
	for i := range t.total.Latency {
		t.total.Latency[i] += uint64(now.Latency[i] - t.last.Latency[i])
	}
	t.last = now
}
