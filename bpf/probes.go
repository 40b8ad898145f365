package bpf

import (
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
	coll     *ebpf.Collection
	links    []link.Link // of the programs that count
	iter     *link.Iter  // nil where the kernel has none
	features []Feature
	pids     int // thread ids that the table has room for
	ncpu     int // possible CPUs

	slots, threads, opens, cpus, matrix, lost *ebpf.Memory

	mu        sync.Mutex
	vms       map[string]*vm
	index     indices
	free      []uint16 // slots nobody uses, the next one last
	resting   []rest   // slots that were given back a moment ago
	level     Level
	now       func() time.Time
	recordBuf []byte // as long as a record; the others as a row of the matrix
	rowBuf    []byte
	cells     []uint64
}

// vm is what user space keeps of a tracked VM.
type vm struct {
	since   time.Time
	pid     int
	index   uint16
	threads map[int]*thread // by tid
	ended   [Roles]Counters // of threads that ended, or got another role
	row     row
	refused map[int]bool // threads that got no slot: they are not new when they get one
}

type thread struct {
	slot  uint16
	start uint64 // its start time: a reused id has another
	vcpu  int    // number, or -1
	role  Role
	total Counters
	last  record

	shownRun, shownWait mark
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

// role is what a thread is counted as.
func (t Thread) role() Role {
	switch {
	case t.VCPU >= 0:
		return RoleVCPU
	case t.Role >= Roles, t.Role == RoleVCPU: // a vCPU has a number
		return RoleWorker
	}
	return t.Role
}

func newProbes(threads, vms, pids, ncpu int) *Probes {
	p := &Probes{
		pids: pids, ncpu: ncpu, vms: map[string]*vm{}, index: newIndices(vms), now: time.Now,
		recordBuf: make([]byte, recordSize), rowBuf: make([]byte, 8*(vms+1)), cells: make([]uint64, vms+1),
	}
	for slot := threads; slot >= 1; slot-- {
		p.free = append(p.free, uint16(slot))
	}
	return p
}

// Close detaches the program and frees the maps.
func (p *Probes) Close() error {
	var errs []error
	if p.iter != nil {
		errs = append(errs, p.iter.Close())
	}
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	if p.coll != nil {
		p.coll.Close()
	}
	return errors.Join(errs...)
}

// Detach stops counting; the counters stay readable. Tests use it to see
// themselves fail.
func (p *Probes) Detach() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.links = nil
	return errors.Join(errs...)
}

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
		var err error
		if v, err = p.adopt(t); err != nil {
			return fmt.Errorf("track VM %s: %w", t.VM, err)
		}
	}
	p.retireMissing(v, t.Threads)
	var errs []error
	for _, th := range t.Threads {
		if err := p.follow(v, th, !first); err != nil {
			errs = append(errs, fmt.Errorf("track thread %d of VM %s: %w", th.TID, t.VM, err))
		}
	}
	return errors.Join(errs...)
}

// adopt makes a VM known, so far without threads.
func (p *Probes) adopt(t Target) (*vm, error) {
	index, err := p.index.take(t.VM, p.now())
	if err != nil {
		return nil, err
	}
	if err := p.clear(index); err != nil {
		p.index.release(index, p.now())
		return nil, err
	}
	v := &vm{
		since: p.now(), pid: t.PID, index: index, threads: map[int]*thread{},
		row: newRow(len(p.cells)), refused: map[int]bool{},
	}
	p.vms[t.VM] = v
	return v, p.setLevel()
}

// follow takes a thread in, or learns what it does. known says that the VM's
// threads were listed before, so that one not seen then was born since.
func (p *Probes) follow(v *vm, th Thread, known bool) error {
	if have := v.threads[th.TID]; have != nil {
		return p.recast(v, have, th)
	}
	err := p.take(v, th, known && !v.refused[th.TID])
	if err != nil {
		v.refused[th.TID] = true
	}
	return err
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
	p.index.release(v.index, p.now())
	// Writing the levels cannot fail: adopting the VM did it before.
	_ = p.setLevel()
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
