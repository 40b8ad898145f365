package search

import (
	"math"
	"slices"
)

// leading knows the largest of one value a bin, also without any two bins.
type leading struct {
	value []int64
	top   [3]int32 // bins of the largest values, largest first; -1 for none
	first int64    // the largest value when top was found
	stale bool     // top is to be found anew
}

func newLeading(bins int) leading {
	return leading{value: make([]int64, bins), top: [3]int32{-1, -1, -1}}
}

// lead finds the leading bins anew.
func (l *leading) lead() {
	l.stale = false
	l.top = [3]int32{-1, -1, -1}
	for b, v := range l.value {
		switch {
		case l.top[0] < 0 || v > l.value[l.top[0]]:
			l.top = [3]int32{int32(b), l.top[0], l.top[1]}
		case l.top[1] < 0 || v > l.value[l.top[1]]:
			l.top[1], l.top[2] = int32(b), l.top[1]
		case l.top[2] < 0 || v > l.value[l.top[2]]:
			l.top[2] = int32(b)
		}
	}
	l.first = 0
	if l.top[0] >= 0 {
		l.first = l.value[l.top[0]]
	}
}

// set changes a bin's value. The leading bins are not to be found anew if it was
// none of them and becomes none: that is most moves, and finding them looks at
// every bin.
func (l *leading) set(bin int, value int64) {
	l.value[bin] = value
	last := l.top[len(l.top)-1]
	l.stale = l.stale || last < 0 || value > l.value[last] || slices.Contains(l.top[:], int32(bin))
}

// most is the largest value when last the leading bins were found, 0 if there
// is no bin.
func (l *leading) most() int64 { return l.first }

// without is the largest value of the other bins, the least number if there
// are none.
func (l *leading) without(x, y int) int64 {
	for _, b := range l.top {
		if b >= 0 && int(b) != x && int(b) != y {
			return l.value[b]
		}
	}
	return math.MinInt64
}
