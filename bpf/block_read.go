package bpf

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

const (
	blockRecordSize = int(unsafe.Sizeof(blockEkBlockVm{}))
	blockSumsSize   = int(unsafe.Sizeof(blockEkBlockVm{}.Sums[0]))
	blockCPUSize    = int(unsafe.Sizeof(blockEkBlockCpu{}))
	blockCostSize   = int(unsafe.Sizeof(blockEkBlockCpu{}.Cost[0]))
)

// Read returns all counters. They come from mapped memory, without a system
// call for each VM.
func (b *Block) Read() (BlockReading, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := BlockReading{VMs: make(map[string]BlockVM, len(b.vms))}
	stacked := false
	for id, v := range b.vms {
		if _, err := b.records.ReadAt(b.buf, int64(v.slot)*int64(blockRecordSize)); err != nil {
			return BlockReading{}, fmt.Errorf("block probe: read VM %s: %w", id, err)
		}
		if !v.stacked && binary.LittleEndian.Uint32(b.buf[unsafe.Offsetof(blockEkBlockVm{}.Stacked):]) != 0 {
			v.stacked, stacked = true, true
		}
		r.VMs[id] = BlockVM{Since: v.since, Ops: decodeBlock(b.buf), By: v.by}
	}
	if err := b.readLost(&r); err != nil {
		return BlockReading{}, fmt.Errorf("block probe: read: %w", err)
	}
	if err := b.readCost(&r); err != nil {
		return BlockReading{}, fmt.Errorf("block probe: read cost: %w", err)
	}
	if err := b.adapt(stacked, r.Unsplit); err != nil {
		return BlockReading{}, fmt.Errorf("block probe: %w", err)
	}
	return r, nil
}

// adapt reacts to what the programs have seen: a VM on a loop device, and
// requests whose issue the kernel does not note.
func (b *Block) adapt(stacked bool, unsplit uint64) error {
	grew := unsplit > b.unsplit
	b.unsplit = unsplit
	if grew && b.issue != "" && b.links[b.issue] == nil {
		if err := b.attach(b.issue); err != nil {
			return err
		}
		if err := b.lookUpFlights(); err != nil {
			return err
		}
	}
	if stacked {
		return b.route()
	}
	return nil
}

// decodeBlock reads a record's cells.
func decodeBlock(raw []byte) (ops [Operations]BlockCounters) {
	le := binary.LittleEndian
	sums := raw[unsafe.Offsetof(blockEkBlockVm{}.Sums):]
	cells := raw[unsafe.Offsetof(blockEkBlockVm{}.Latency):]
	for op := range ops {
		c := &ops[op]
		for i, n := range []*uint64{&c.Requests, &c.Bytes, &c.Errors, &c.QueueNS, &c.DeviceNS} {
			*n = le.Uint64(sums[op*blockSumsSize+8*i:])
		}
		for _, h := range []*Histogram{&c.Queue, &c.Device} {
			for i := range h {
				h[i] = le.Uint64(cells[8*i:])
			}
			cells = cells[8*blockBuckets:]
		}
	}
	return ops
}

// blockBuckets is how many cells a histogram has in the kernel.
const blockBuckets = len(blockEkBlockVm{}.Latency[0].Queue)

// The cells of lost, as enum ek_block_lost numbers them.
func (b *Block) readLost(r *BlockReading) error {
	cells := []*uint64{&r.Absurd, &r.Future, &r.Early, &r.Untimed, &r.Unsplit, &r.Lost}
	raw := make([]byte, 8*len(cells))
	if _, err := b.lost.ReadAt(raw, 0); err != nil {
		return err
	}
	for i, cell := range cells {
		*cell = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return nil
}

func (b *Block) readCost(r *BlockReading) error {
	raw := make([]byte, blockCPUSize)
	for cpu := range b.ncpu {
		if _, err := b.cpus.ReadAt(raw, int64(cpu)*int64(blockCPUSize)); err != nil {
			return err
		}
		for c := raw; len(c) >= blockCostSize; c = c[blockCostSize:] {
			r.Cost.Runs += binary.LittleEndian.Uint64(c[0:])
			r.Cost.Timed += binary.LittleEndian.Uint64(c[8:])
			r.Cost.TimedNS += binary.LittleEndian.Uint64(c[16:])
			r.Unattributed += binary.LittleEndian.Uint64(c[24:])
		}
	}
	// Where the kernel does not count them (before 5.12) the field is 0.
	if stats, err := b.coll.Programs[completeProgram].Stats(); err == nil {
		r.Cost.Missed = stats.RecursionMisses
	}
	return nil
}
