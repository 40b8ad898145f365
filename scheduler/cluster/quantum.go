package cluster

import (
	"math/bits"
	"sort"
	"time"
)

// A scale is the short form of figures of one unit: a code of one byte for at
// most 256 of them, dense near zero and then at steps of a k-th of the figure.
// It is built and used with integers alone, so every replica and architecture
// reads the same figures. Zero, the anchor (one CPU, the whole, a
// millisecond) and the top stand for themselves.
type scale struct{ values []int64 }

// The scales, and how far a figure may lie from its nearest value; figures
// above the top become the top.
//
//	of CPU time  1 mCPU to 16,384 CPUs   1 mCPU or 3.3 %
//	of ratios    1 ppm to 101 %          1 ppm or 2.5 %
//	of latency   1 µs to 60 s            1 µs or 3.5 %
var (
	cpuScale     = newScale(1, 1000, int64(maxCPUs), 16)
	ratioScale   = newScale(1, int64(Whole), int64(Whole+Percent(1)), 21)
	latencyScale = newScale(int64(time.Microsecond), 1000, 60_000_000, 15)
)

// newScale builds the values from the anchor down to zero and up to the top,
// all in units.
func newScale(unit, anchor, top, k int64) *scale {
	var values []int64
	for v := anchor; v > 0; v -= max(1, v/k) {
		values = append(values, v)
	}
	values = append(values, 0)
	for i, j := 0, len(values)-1; i < j; i, j = i+1, j-1 {
		values[i], values[j] = values[j], values[i]
	}
	for v := anchor; v < top; {
		v = min(v+max(1, v/k), top)
		values = append(values, v)
	}
	if len(values) > 256 {
		panic("a scale of more codes than a byte has") // at the start of every test and binary
	}
	for i := range values {
		values[i] *= unit
	}
	return &scale{values}
}

// exact finds the code that stands for v itself.
func (s *scale) exact(v int64) (code byte, ok bool) {
	i, ok := sort.Find(len(s.values), func(i int) int { return cmpInt(v, s.values[i]) })
	return byte(i), ok
}

// nearest finds the code whose value is nearest to v. What is not zero does
// not become zero.
func (s *scale) nearest(v int64) int {
	i := sort.Search(len(s.values), func(i int) bool { return s.values[i] >= v })
	switch {
	case v <= 0 || i == 0:
		return 0
	case i == len(s.values):
		return i - 1
	case i > 1 && v-s.values[i-1] < s.values[i]-v:
		return i - 1
	}
	return i
}

// near rounds v to the scale, but keeps the value before where v is within one
// step or slack of it: a figure that trembles is not news. Zero is exact: a
// figure that becomes zero, or ceases to be, always is news. Negative figures
// stay as they are, for the State to refuse.
func (s *scale) near(v, before, slack int64) int64 {
	if v <= 0 {
		return v
	}
	if i, ok := s.exact(before); ok && before > 0 {
		low, high := before-slack, before+slack
		low = min(low, s.values[max(int(i)-1, 1)])
		high = max(high, s.values[min(int(i)+1, len(s.values)-1)])
		if low <= v && v <= high {
			return before
		}
	}
	return s.values[s.nearest(v)]
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// The wide form is for figures of any unit that need more than a byte: the
// highest eight bits and how many stand below, at most 0.4 % off, two bytes.
// Figures up to 255 are exact.
const wideBits = 8

// wide rounds a figure that is not negative to the wide form.
func wide(v int64) int64 {
	if v < 1<<wideBits {
		return v
	}
	shift := bits.Len64(uint64(v)) - wideBits
	if v > 1<<62 {
		return 1 << 62
	}
	return (v + 1<<(shift-1)) >> shift << shift
}

// wideCode is the code of a figure that has the wide form: rising with it,
// below 1<<13.
func wideCode(v int64) (code uint64, ok bool) {
	if v < 0 {
		return 0, false
	}
	if v < 1<<wideBits {
		return uint64(v), true
	}
	shift := bits.Len64(uint64(v)) - wideBits
	if v&(1<<shift-1) != 0 {
		return 0, false
	}
	return uint64(shift)<<(wideBits-1) + uint64(v)>>shift, true
}

// wideValue is the figure of a code.
func wideValue(code uint64) (v int64, ok bool) {
	if code < 1<<wideBits {
		return int64(code), true
	}
	const half = 1 << (wideBits - 1)
	shift, mantissa := (code-half)/half, half+code%half
	if shift > 63-wideBits {
		return 0, false
	}
	return int64(mantissa << shift), true
}

// wideNear rounds to the wide form, but keeps the value before where v is
// within an eighth of it or two units: as much as a detail may move unnoticed.
func wideNear(v, before int64) int64 {
	if v > 0 && before > 0 && abs(v-before) <= max(before/8, 2) {
		return before
	}
	return max(wide(max(v, 0)), min(v, 0))
}

func abs(v int64) int64 { return max(v, -v) }
