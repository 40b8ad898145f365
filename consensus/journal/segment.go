package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Mark is a place in the log.
type Mark struct {
	Index uint64
	Term  uint64
	At    cluster.Time
}

func (r record) mark() Mark { return Mark{r.index, r.term, r.at} }

const (
	magic         = "ekjrnl1\n"
	segmentSuffix = ".journal"
)

// segment is a file of the journal. Segments are numbered in the order in
// which they were begun; where two hold the same index, the later one is right.
type segment struct {
	seq     uint64
	path    string
	size    int64 // bytes of whole records
	first   Mark  // of the checkpoint
	last    Mark  // of the newest entry, or of the checkpoint if there is none
	entries uint64
	damage  string // why what follows last, or all of it, cannot be read; "" if it can
	usable  bool   // it begins with a checkpoint
}

func segmentName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, segmentSuffix) }

func parseName(name string) (seq uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 16, 64)
	return seq, err == nil && segmentName(seq) == name
}

// walk reads the records of a segment up to a size, in order, and returns
// where the last good one ends.
func walk(f io.Reader, size int64, each func(record) error) (good int64, err error) {
	in := bufio.NewReaderSize(f, 1<<16)
	head := make([]byte, len(magic))
	if size < int64(len(magic)) {
		return 0, errTorn
	}
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, err
	}
	if !bytes.Equal(head, []byte(magic)) {
		return 0, fmt.Errorf("it begins %q, no journal does", head)
	}
	good = int64(len(magic))
	for n := 0; ; n++ {
		r, took, err := readRecord(in, size-good)
		if errors.Is(err, io.EOF) && good == size {
			return good, nil
		}
		if err == nil {
			err = r.fits(n)
		}
		if err != nil {
			return good, err
		}
		if err := each(r); err != nil {
			return good, err
		}
		good += took
	}
}

// fits says whether a record may be the n-th of a segment.
func (r record) fits(n int) error {
	want := kindEntry
	switch n {
	case 0:
		want = kindOwner
	case 1:
		want = kindCheckpoint
	}
	if r.kind != want && (n < 2 || r.kind != kindEnd) {
		return fmt.Errorf("record %d of a segment is of kind %d, not %d", n, r.kind, want)
	}
	return nil
}

// errOwner: the journal is another cluster's.
var errOwner = errors.New("it is another cluster's")

// inspect finds out what a segment holds. One that was finished tells in its
// first and last records; any other is read whole.
func inspect(path string, seq uint64, owner string) (s segment, finished bool, err error) {
	s = segment{seq: seq, path: path}
	f, err := os.Open(path)
	if err != nil {
		return s, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s, false, err
	}
	s.size = info.Size()
	if s.glance(f, owner) {
		return s, true, nil
	}
	good, err := walk(f, info.Size(), func(r record) error { return s.take(r, owner) })
	if errors.Is(err, errOwner) {
		return s, false, err
	}
	s.usable = s.first.Index > 0
	if err != nil {
		s.damage = err.Error()
	}
	if err != nil && tornAfter(f, good, info.Size(), err) {
		s.size, s.damage = good, errTorn.Error()
	}
	return s, false, nil
}

// take notes a record of a segment that is read whole.
func (s *segment) take(r record, owner string) error {
	switch r.kind {
	case kindOwner:
		if string(r.body) != owner {
			return fmt.Errorf("%w: %.64q", errOwner, r.body)
		}
	case kindCheckpoint:
		s.first, s.last = r.mark(), r.mark()
	case kindEntry:
		s.last = r.mark()
		s.entries++
	}
	return nil
}

// glance takes the segment's own word, from its first two records and its
// last. The bodies' checksums are looked at when they are read.
func (s *segment) glance(f *os.File, owner string) bool {
	ownerEnd := int64(len(magic) + recordHead + len(owner))
	endAt := s.size - recordHead
	if endAt < ownerEnd+recordHead {
		return false
	}
	begin, head, tail := make([]byte, ownerEnd), make([]byte, recordHead), make([]byte, recordHead)
	for _, read := range []struct {
		into []byte
		at   int64
	}{{begin, 0}, {head, ownerEnd}, {tail, endAt}} {
		if _, err := f.ReadAt(read.into, read.at); err != nil {
			return false
		}
	}
	own := record{kind: kindOwner, body: []byte(owner)}.append([]byte(magic))
	checkpoint, _, err := parseHead(head)
	end, _, errEnd := readRecord(bytes.NewReader(tail), recordHead)
	if !bytes.Equal(begin, own) || err != nil || errEnd != nil || checkpoint.kind != kindCheckpoint || end.kind != kindEnd {
		return false
	}
	s.first, s.last, s.entries, s.usable = checkpoint.mark(), end.mark(), end.before, true
	return true
}

// tornAfter says whether what follows the good records is what a crash leaves
// in the middle of a write: a record that is not whole, or whose bytes did not
// all get to the disk, and perhaps the zeros of a file that had grown already.
// Anything else is damage, and is left where it is.
func tornAfter(f *os.File, good, size int64, cause error) bool {
	if errors.Is(cause, errTorn) {
		return true
	}
	recordEnd := good + recordHead
	head := make([]byte, recordHead)
	if n, _ := f.ReadAt(head, good); n < recordHead {
		return true
	}
	if _, body, err := parseHead(head); err == nil {
		recordEnd += body
	}
	end, err := lastByte(io.NewSectionReader(f, good, size-good))
	return err == nil && good+end <= recordEnd
}

// lastByte is where the zeros begin that end a file.
func lastByte(in io.Reader) (end int64, err error) {
	buf := make([]byte, 1<<16)
	for at := int64(0); ; {
		n, err := in.Read(buf)
		for i, b := range buf[:n] {
			if b != 0 {
				end = at + int64(i) + 1
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// list finds the segments of a directory, oldest first.
func list(dir string) (seqs []uint64, err error) {
	entries, err := os.ReadDir(dir) // sorted by name, so by number
	for _, e := range entries {
		if seq, ok := parseName(e.Name()); ok && e.Type().IsRegular() {
			seqs = append(seqs, seq)
		}
	}
	return seqs, err
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
