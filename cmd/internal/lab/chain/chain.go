// Package chain is what a lab's guest writes to its disk to prove that it never
// ran twice and lost no write: a ring of numbered records, each of which names
// the one before it by its SHA-256 and carries a nonce of its own. Two copies of
// a guest that go on from the same state write records that do not follow each
// other, and the one that reads the other's stops.
//
// A record is 88 bytes at the beginning of a block: "ekchain1", its number, the
// sum of the one before, a nonce, and the SHA-256 of all that; numbers are
// little-endian.
package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	magic      = "ekchain1"
	nonceBytes = 8
	bodyBytes  = len(magic) + 8 + sha256.Size + nonceBytes
	recordSize = bodyBytes + sha256.Size
)

// MinBlock is the smallest block that holds a record.
const MinBlock = 512

// Record is one link.
type Record struct {
	N        uint64 // 1 for the first
	Previous [sha256.Size]byte
	Nonce    [nonceBytes]byte
}

// Next is the record that follows; the zero Record is before the first.
func (r Record) Next(nonce [nonceBytes]byte) Record {
	next := Record{N: r.N + 1, Nonce: nonce}
	if r.N > 0 {
		next.Previous = r.sum()
	}
	return next
}

func (r Record) body() []byte {
	b := append(make([]byte, 0, recordSize), magic...)
	b = binary.LittleEndian.AppendUint64(b, r.N)
	b = append(b, r.Previous[:]...)
	return append(b, r.Nonce[:]...)
}

func (r Record) sum() [sha256.Size]byte { return sha256.Sum256(r.body()) }

// Put writes the record into a block of at least MinBlock bytes.
func (r Record) Put(block []byte) {
	clear(block)
	sum := r.sum()
	copy(block, append(r.body(), sum[:]...))
}

// Offset is where the record lies in a ring of blocks on a disk of so many
// bytes.
func (r Record) Offset(disk int64, block int) int64 {
	slots := uint64(disk / int64(block))
	return int64(r.N%slots) * int64(block)
}

var errNone = errors.New("no record")

// Parse reads the record of a block.
func Parse(block []byte) (Record, error) {
	if len(block) < recordSize || !bytes.HasPrefix(block, []byte(magic)) {
		return Record{}, errNone
	}
	var r Record
	rest := block[len(magic):]
	r.N = binary.LittleEndian.Uint64(rest)
	rest = rest[8:]
	copy(r.Previous[:], rest)
	copy(r.Nonce[:], rest[sha256.Size:])
	if sum := r.sum(); !bytes.Equal(sum[:], block[bodyBytes:recordSize]) {
		return Record{}, fmt.Errorf("record %d is damaged", r.N)
	}
	if r.N == 0 {
		return Record{}, errors.New("a record with the number 0")
	}
	return r, nil
}

// Follow reads a record's block back and fails unless it is that record.
func Follow(disk io.ReaderAt, size int64, block []byte, last Record) error {
	if _, err := disk.ReadAt(block, last.Offset(size, len(block))); err != nil {
		return err
	}
	got, err := Parse(block)
	if err != nil {
		return fmt.Errorf("record %d was lost: %w", last.N, err)
	}
	if got != last {
		return fmt.Errorf("record %d was written by another copy of this guest", got.N)
	}
	return nil
}

// Verify reads a whole disk and returns its newest record, the zero one if
// there is none. All blocks that were ever written must hold one unbroken chain.
func Verify(disk io.ReaderAt, size int64, block int) (Record, error) {
	slots := size / int64(block)
	records := make(map[uint64]Record)
	var last Record
	buf := make([]byte, block)
	for i := range slots {
		if _, err := disk.ReadAt(buf, i*int64(block)); err != nil {
			return Record{}, err
		}
		r, err := Parse(buf)
		if errors.Is(err, errNone) {
			continue
		}
		if err != nil {
			return Record{}, fmt.Errorf("block %d: %w", i, err)
		}
		if int64(r.N%uint64(slots)) != i {
			return Record{}, fmt.Errorf("block %d holds record %d", i, r.N)
		}
		if records[r.N] = r; r.N > last.N {
			last = r
		}
	}
	return last, unbroken(records, last.N, uint64(slots))
}

// unbroken fails unless the records up to the last follow each other, as far
// back as the ring goes.
func unbroken(records map[uint64]Record, last, slots uint64) error {
	for n := last; n > 0 && last-n < slots; n-- {
		r, ok := records[n]
		if !ok {
			return fmt.Errorf("record %d of %d is missing", n, last)
		}
		if next, ok := records[n+1]; ok && r.Next(next.Nonce) != next {
			return fmt.Errorf("record %d does not follow record %d: two copies of the guest wrote", n+1, n)
		}
	}
	return nil
}
