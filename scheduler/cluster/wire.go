package cluster

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// writer appends what a [reader] reads. The codec loses nothing: figures on a
// scale are short, others are written as they are.
type writer struct{ data []byte }

func (w *writer) byte(b byte)    { w.data = append(w.data, b) }
func (w *writer) uint(v uint64)  { w.data = binary.AppendUvarint(w.data, v) }
func (w *writer) int(v int64)    { w.data = binary.AppendVarint(w.data, v) }
func (w *writer) text(s string)  { w.uint(uint64(len(s))); w.data = append(w.data, s...) }
func (w *writer) bytes(b []byte) { w.uint(uint64(len(b))); w.data = append(w.data, b...) }
func (w *writer) id(s string) bool { // a UUID in its 16 bytes
	if !validID(s) {
		return false
	}
	var b [16]byte
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '-' {
			b[n/2] = b[n/2]<<4 | hexDigit(s[i])
			n++
		}
	}
	w.data = append(w.data, b[:]...)
	return true
}

func hexDigit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// exactly begins a figure that has no short form; short forms are even.
const exactly = 1

// num writes a figure that most often is a multiple of unit.
func (w *writer) num(v, unit int64) {
	if v >= 0 && v%unit == 0 {
		w.uint(uint64(v/unit) << 1)
		return
	}
	w.uint(exactly)
	w.int(v)
}

// wide writes a figure that most often has the wide form.
func (w *writer) wide(v int64) {
	if code, ok := wideCode(v); ok {
		w.uint(code << 1)
		return
	}
	w.uint(exactly)
	w.int(v)
}

// reader reads bytes that came from outside. After the first fault it yields
// zeros; err names the place.
type reader struct {
	data []byte
	off  int
	what string // whose bytes, for errors
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s, byte %d: %s", r.what, r.off, fmt.Sprintf(format, args...))
		r.off = len(r.data)
	}
}

func (r *reader) left() int { return len(r.data) - r.off }

func (r *reader) byte() byte {
	if r.left() < 1 {
		r.fail("cut short")
		return 0
	}
	r.off++
	return r.data[r.off-1]
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.data[r.off:])
	if n <= 0 {
		r.fail("no number, or cut short")
		return 0
	}
	r.off += n
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.data[r.off:])
	if n <= 0 {
		r.fail("no number, or cut short")
		return 0
	}
	r.off += n
	return v
}

// count reads how many things follow, each of at least size bytes.
func (r *reader) count(limit, size int, of string) int {
	n := r.uint()
	if n > uint64(limit) || n > uint64(r.left()/size) {
		r.fail("%d %s, at most %d, in %d bytes", n, of, limit, r.left())
		return 0
	}
	return int(n)
}

func (r *reader) bytes(limit int, of string) []byte {
	n := r.count(limit, 1, of)
	b := r.data[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

func (r *reader) text(limit int, of string) string {
	b := r.bytes(limit, of)
	if !utf8.Valid(b) {
		r.fail("%s is not UTF-8", of)
		return ""
	}
	return string(b)
}

func (r *reader) id() string {
	if r.left() < 16 {
		r.fail("cut short")
		return ""
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, b := range r.data[r.off : r.off+16] {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[b>>4], digits[b&15])
	}
	r.off += 16
	return string(out)
}

func (r *reader) num(unit int64) int64 {
	code := r.uint()
	if code == exactly {
		return r.int()
	}
	if code&1 != 0 || code>>1 > uint64(1<<63-1)/uint64(unit) {
		r.fail("%d is no figure", code)
		return 0
	}
	return int64(code>>1) * unit
}

func (r *reader) wide() int64 {
	code := r.uint()
	if code == exactly {
		return r.int()
	}
	v, ok := wideValue(code >> 1)
	if code&1 != 0 || !ok {
		r.fail("%d is no figure", code)
		return 0
	}
	return v
}

// end asks that nothing is left.
func (r *reader) end() error {
	if r.err == nil && r.left() > 0 {
		r.fail("%d bytes too many", r.left())
	}
	return r.err
}
