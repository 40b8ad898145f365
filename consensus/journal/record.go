package journal

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// kind says what a record holds.
type kind uint8

const (
	kindOwner      kind = 1 // the cluster's id; first in a segment
	kindCheckpoint kind = 2 // a State; second
	kindEntry      kind = 3 // an entry of the log
	kindEnd        kind = 4 // a segment that is complete; the meta of its last entry, no body
)

const (
	flagDeflate = 1 << iota // the body is compressed
	flagRefused             // the command changed nothing but time
)

// record is what a segment is made of.
type record struct {
	kind   kind
	flags  uint8
	index  uint64
	term   uint64
	at     cluster.Time
	before uint64 // of an entry: the State's index before it; of the end: how many entries there are
	body   []byte
}

// A record on disk: length of the body (4 bytes), CRC-32C of all that follows
// (4), kind, flags, two zeros, index, term, at, before (8 each), body. Numbers
// are big-endian.
const (
	recordHead    = 8 + 4 + 4*8
	maxOwner      = 64
	maxCheckpoint = 1 << 30 // bytes, of an encoded State
	// minDeflate is the body from which compressing is tried. Deflate at its
	// fastest takes some 100 MB/s of a core: 30 GB a day are 0.4 % of one.
	minDeflate = 256
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn: the file ends within the record.
var errTorn = errors.New("the file ends within a record")

// pack compresses the body if that saves a tenth.
func (r record) pack() record {
	if len(r.body) < minDeflate || r.flags&flagDeflate != 0 {
		return r
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return r // impossible: the level is one of flate's
	}
	_, err = w.Write(r.body)
	if err = errors.Join(err, w.Close()); err != nil || out.Len() > len(r.body)/10*9 {
		return r
	}
	r.flags |= flagDeflate
	r.body = out.Bytes()
	return r
}

// open returns the body as it was before pack.
func (r record) open() ([]byte, error) {
	if r.flags&flagDeflate == 0 {
		return r.body, nil
	}
	limit := r.kind.limit()
	in := flate.NewReader(bytes.NewReader(r.body))
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("unpack: more than %d bytes", limit)
	}
	return body, nil
}

// limit bounds a body.
func (k kind) limit() int64 {
	switch k {
	case kindOwner:
		return maxOwner
	case kindCheckpoint:
		return maxCheckpoint
	case kindEntry:
		return cluster.MaxCommandBytes
	}
	return 0
}

func (r record) append(to []byte) []byte {
	start := len(to)
	to = binary.BigEndian.AppendUint32(to, uint32(len(r.body)))
	to = append(to, 0, 0, 0, 0, byte(r.kind), r.flags, 0, 0)
	to = binary.BigEndian.AppendUint64(to, r.index)
	to = binary.BigEndian.AppendUint64(to, r.term)
	to = binary.BigEndian.AppendUint64(to, uint64(r.at))
	to = binary.BigEndian.AppendUint64(to, r.before)
	to = append(to, r.body...)
	binary.BigEndian.PutUint32(to[start+4:], crc32.Checksum(to[start+8:], castagnoli))
	return to
}

// readRecord reads the next record of a file of which so many bytes are left.
// It returns io.EOF at the end, errTorn if the file ends before the record
// does, any other error for bytes that are no record.
func readRecord(in io.Reader, left int64) (record, int64, error) {
	if left == 0 {
		return record{}, 0, io.EOF
	}
	if left < recordHead {
		return record{}, 0, errTorn
	}
	var head [recordHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return record{}, 0, err
	}
	r, size, err := parseHead(head[:])
	if err != nil {
		return record{}, 0, err
	}
	if size > left-recordHead {
		return record{}, 0, errTorn
	}
	r.body = make([]byte, size)
	if _, err := io.ReadFull(in, r.body); err != nil {
		return record{}, 0, err
	}
	sum := crc32.Update(crc32.Checksum(head[8:], castagnoli), castagnoli, r.body)
	if sum != binary.BigEndian.Uint32(head[4:]) {
		return record{}, recordHead + size, errors.New("checksum mismatch")
	}
	return r, recordHead + size, nil
}

func parseHead(head []byte) (record, int64, error) {
	size := int64(binary.BigEndian.Uint32(head))
	r := record{
		kind: kind(head[8]), flags: head[9], index: binary.BigEndian.Uint64(head[12:]), term: binary.BigEndian.Uint64(head[20:]),
		at: cluster.Time(binary.BigEndian.Uint64(head[28:])), before: binary.BigEndian.Uint64(head[36:]),
	}
	switch {
	case r.kind < kindOwner || r.kind > kindEnd:
		return r, 0, fmt.Errorf("no kind of record: %d", r.kind)
	case size > r.kind.limit():
		return r, 0, fmt.Errorf("a record claims %d bytes, at most %d", size, r.kind.limit())
	case r.flags&^(flagDeflate|flagRefused) != 0 || head[10] != 0 || head[11] != 0 || r.at < 0:
		return r, 0, fmt.Errorf("flags %#x or time %d out of bounds", head[9:12], r.at)
	}
	return r, size, nil
}
