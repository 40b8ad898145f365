package bpf

import "math/bits"

// fill lets waits that were not split have the shares of those that were: of
// the same reading, else of all before, else they are unattributed. Quota is
// left alone, since it is counted for every wait. The sum stays exact.
func fill(split Split, before Split, rest uint64) Split {
	if rest == 0 {
		return split
	}
	weights := split
	weights[CauseQuota] = 0
	if weights.Total() == 0 {
		weights = before
		weights[CauseQuota] = 0
	}
	sum := weights.Total()
	if sum == 0 {
		split[CauseUnattributed] += rest
		return split
	}
	most, left := 0, rest
	for c, w := range weights {
		part := portion(rest, w, sum)
		split[c] += part
		left -= part
		if w > weights[most] {
			most = c
		}
	}
	split[most] += left // what rounding left over, below Causes ns
	return split
}

// portion is n * part / whole, rounded down, for part <= whole.
func portion(n, part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	hi, lo := bits.Mul64(n, part)
	q, _ := bits.Div64(hi, lo, whole) // hi < whole, since part <= whole and n < 2^64
	return q
}
