package bpf

import (
	"fmt"
	"time"
)

// indices hands out the VMs' numbers in the books and in the matrix, from 1.
type indices struct {
	owners  []string // VM by index, "" if nobody has it
	free    []uint16 // the one that has been free longest first
	resting []restingIndex
}

type restingIndex struct {
	index uint16
	since time.Time
}

// indexRestFor is how long an index names nobody before it may name another
// VM: the books reach back that far, unless a CPU had nothing to write.
const indexRestFor = 10 * time.Second

func newIndices(n int) indices {
	x := indices{owners: make([]string, n+1)}
	for i := 1; i <= n; i++ {
		x.free = append(x.free, uint16(i))
	}
	return x
}

func (x *indices) take(vm string, now time.Time) (uint16, error) {
	for len(x.resting) > 0 && now.Sub(x.resting[0].since) >= indexRestFor {
		x.free = append(x.free, x.resting[0].index)
		x.resting = x.resting[1:]
	}
	if len(x.free) == 0 {
		return 0, fmt.Errorf("all %d places for VMs are taken, %d of them by VMs that left less than %v ago; raise MaxVMs", len(x.owners)-1, len(x.resting), indexRestFor)
	}
	i := x.free[0]
	x.free = x.free[1:]
	x.owners[i] = vm
	return i, nil
}

func (x *indices) release(i uint16, now time.Time) {
	x.owners[i] = ""
	x.resting = append(x.resting, restingIndex{i, now})
}

// clear empties the row and the column of an index in the kernel's matrix,
// and what the other VMs remember of whoever had it before.
func (p *Probes) clear(index uint16) error {
	stride := int64(len(p.rowBuf))
	if _, err := p.matrix.WriteAt(make([]byte, stride), int64(index)*stride); err != nil {
		return err
	}
	var zero [8]byte
	for victim := range p.index.owners {
		if _, err := p.matrix.WriteAt(zero[:], int64(victim)*stride+8*int64(index)); err != nil {
			return err
		}
	}
	for _, v := range p.vms {
		v.row.forget(index)
	}
	return nil
}
