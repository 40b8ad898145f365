package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// blockVM is what user space keeps of a tracked VM.
type blockVM struct {
	since   time.Time
	pid     int
	cgroup  uint64
	slot    uint32
	epoch   uint32
	stacked bool        // it uses a loop device
	by      Attribution // as the kernel's maps have it
	pointed uint64      // its cgroup, as they have it
}

// blockRest keeps a slot from being used again while a program that looked it
// up may still write to it.
type blockRest struct {
	slot  uint32
	since time.Time
}

// Track follows a VM's block I/O. It may be called again and again: a changed
// cgroup is followed, a changed process begins the counters anew.
func (b *Block) Track(t BlockTarget) error {
	if t.VM == "" || t.PID < 0 || t.PID > maxPID {
		return fmt.Errorf("block probe: track VM %q with process %d: want an id and a process", t.VM, t.PID)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.vms[t.VM]
	if v != nil && v.pid == t.PID && v.cgroup == t.Cgroup {
		return nil
	}
	if v != nil && v.pid != t.PID {
		if err := b.untrack(t.VM); err != nil {
			return fmt.Errorf("block probe: track VM %s: %w", t.VM, err)
		}
		v = nil
	}
	if v == nil {
		var err error
		if v, err = b.adopt(t.PID); err != nil {
			return fmt.Errorf("block probe: track VM %s: %w", t.VM, err)
		}
		b.vms[t.VM] = v
	}
	v.cgroup = t.Cgroup
	if err := b.route(); err != nil {
		return fmt.Errorf("block probe: track VM %s: %w", t.VM, err)
	}
	return nil
}

// adopt gives a VM a slot with a record that begins now.
func (b *Block) adopt(pid int) (*blockVM, error) {
	now := b.now()
	b.resting = slices.DeleteFunc(b.resting, func(r blockRest) bool {
		if now.Sub(r.since) < restFor {
			return false
		}
		b.free = append(b.free, r.slot)
		return true
	})
	if len(b.free) == 0 {
		return nil, errors.New("all slots are taken; raise MaxVMs")
	}
	since, err := kernelNow()
	if err != nil {
		return nil, err
	}
	slot := b.free[len(b.free)-1]
	b.epoch++
	clear(b.buf)
	binary.LittleEndian.PutUint64(b.buf[unsafe.Offsetof(blockEkBlockVm{}.Since):], since)
	binary.LittleEndian.PutUint32(b.buf[unsafe.Offsetof(blockEkBlockVm{}.Epoch):], b.epoch)
	if _, err := b.records.WriteAt(b.buf, int64(slot)*int64(blockRecordSize)); err != nil {
		return nil, err
	}
	b.free = b.free[:len(b.free)-1]
	return &blockVM{since: now, pid: pid, slot: slot, epoch: b.epoch}, nil
}

// kernelNow is the clock that requests are stamped with.
func kernelNow() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("monotonic clock: %w", err)
	}
	return uint64(ts.Nano()), nil
}

// Untrack stops following a VM; its counters are gone.
func (b *Block) Untrack(vm string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Deleting from a hash cannot fail but for a key that is not there.
	_ = b.untrack(vm)
}

func (b *Block) untrack(id string) error {
	v := b.vms[id]
	if v == nil {
		return nil
	}
	err := b.unpoint(v)
	delete(b.vms, id)
	b.resting = append(b.resting, blockRest{v.slot, b.now()})
	return errors.Join(err, b.route()) // whom it shared a cgroup with may have it alone now
}

// Tracked lists the VMs that are followed, sorted.
func (b *Block) Tracked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, 0, len(b.vms))
	for id := range b.vms {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// route decides for every VM how its requests are told, and tells the kernel
// what changed.
func (b *Block) route() error {
	sharers := make(map[uint64]int, len(b.vms))
	for _, v := range b.vms {
		sharers[v.cgroup]++
	}
	want := make(map[*blockVM]Attribution, len(b.vms))
	submitters := false
	for _, v := range b.vms {
		want[v] = b.attribution(v, sharers[v.cgroup] == 1)
		submitters = submitters || want[v] == BySubmitter
	}
	var errs []error
	for v, by := range want { // first what ends: two VMs may change places
		if v.by != by || by == ByCgroup && v.pointed != v.cgroup {
			errs = append(errs, b.unpoint(v))
		}
	}
	errs = append(errs, b.noteSubmitters(submitters))
	for v, by := range want {
		errs = append(errs, b.point(v, by))
	}
	return errors.Join(errs...)
}

func (b *Block) attribution(v *blockVM, alone bool) Attribution {
	switch {
	case v.cgroup != 0 && alone && !v.stacked && b.on(FeatureBlockCgroup):
		return ByCgroup
	case v.pid != 0 && b.submit != "":
		return BySubmitter
	}
	return ByNobody
}

func (b *Block) on(feature string) bool {
	return slices.ContainsFunc(b.features, func(f Feature) bool { return f.Name == feature && f.On })
}

// noteSubmitters attaches or releases the hook on submission.
func (b *Block) noteSubmitters(yes bool) error {
	if b.submit == "" {
		return nil
	}
	if !yes {
		return errors.Join(b.release(b.submit), b.lookUpFlights())
	}
	return errors.Join(b.attach(b.submit), b.lookUpFlights())
}

// lookUpFlights tells the program on completion whether anything is noted.
func (b *Block) lookUpFlights() error {
	noted := uint32(0)
	if b.links[b.submit] != nil || b.links[b.issue] != nil {
		noted = 1
	}
	return b.coll.Variables["flights_noted"].Set(noted)
}

// point makes the kernel's maps tell a VM's requests so, unless they do.
func (b *Block) point(v *blockVM, by Attribution) (err error) {
	switch {
	case v.by == by:
		return nil
	case by == ByCgroup:
		err = b.coll.Maps["cgroups"].Put(v.cgroup, v.slot)
	case by == BySubmitter:
		err = b.coll.Maps["owners"].Put(uint32(v.pid), blockEkBlockOwner{Slot: v.slot, Epoch: v.epoch})
	}
	if err == nil {
		v.by, v.pointed = by, v.cgroup
	}
	return err
}

// unpoint takes a VM out of the kernel's maps.
func (b *Block) unpoint(v *blockVM) error {
	var err error
	switch v.by {
	case ByCgroup:
		err = b.coll.Maps["cgroups"].Delete(v.pointed)
	case BySubmitter:
		err = b.coll.Maps["owners"].Delete(uint32(v.pid))
	}
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	v.by = ByNobody
	return b.forgetSerial(v.slot)
}

// forgetSerial takes away the number by which the program knows a VM's cgroup.
// The cgroup must be out of the map: after noting a number it looks there again.
func (b *Block) forgetSerial(slot uint32) error {
	at := int64(slot)*int64(blockRecordSize) + int64(unsafe.Offsetof(blockEkBlockVm{}.Serial))
	_, err := b.records.WriteAt(make([]byte, 8), at)
	return err
}
