package search

import "math"

// leading knows the largest of one value a bin, also without any two bins.
type leading struct {
	value []int64
	top   [3]int32 // bins of the largest values, largest first; -1 for none
	first int64    // the largest value when top was found
}

func newLeading(bins int) leading {
	return leading{value: make([]int64, bins), top: [3]int32{-1, -1, -1}}
}

// lead finds the leading bins anew.
func (l *leading) lead() {
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
