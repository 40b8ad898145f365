package bpf

import (
	"math"
	"math/bits"
	"time"
)

// The bucket layout, as include/histogram.h has it: Prometheus' native
// histogram schema 2 on latencies scaled by 2^30/10^9.
const (
	firstPower = 10
	lastPower  = 35
	// Buckets is the number of buckets: one up to 0.95 µs, a hundred of which
	// each ends 2^(1/4) = 1.189 times higher than the one before, and one for
	// all above 32 s.
	Buckets = 4*(lastPower-firstPower) + 2
)

// Histogram counts waits by their length. The zero value is empty.
type Histogram [Buckets]uint64

// Bucket is the index of the bucket that a latency falls in.
func Bucket(d time.Duration) int {
	ns := uint64(max(d, 0))
	if ns>>lastPower != 0 {
		return Buckets - 1
	}
	x := ns + (ns*19794920)>>28
	if x <= 1<<firstPower {
		return 0
	}
	e := bits.Len64(x) - 1
	m := x << (63 - e)
	j := 4 * (e - firstPower)
	for _, bound := range [...]uint64{1 << 63, 0x9837f0518db8a96f, 0xb504f333f9de6484, 0xd744fccad69d6af4} {
		if m > bound {
			j++
		}
	}
	return min(j, Buckets-1)
}

// UpperBound is the largest latency in a bucket, in seconds; the last
// bucket's is infinite.
func UpperBound(bucket int) float64 {
	if bucket >= Buckets-1 {
		return math.Inf(1)
	}
	return math.Exp2(float64(firstPower-30) + float64(bucket)/4)
}

// Count is the number of waits in all buckets.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, c := range h {
		n += c
	}
	return n
}

// Add returns the sum of two histograms.
func (h Histogram) Add(o Histogram) Histogram {
	for i, c := range o {
		h[i] += c
	}
	return h
}

// Sub returns what came since an earlier histogram; a bucket that fell (none
// should) counts as empty.
func (h Histogram) Sub(o Histogram) Histogram {
	for i, c := range o {
		h[i] -= min(c, h[i])
	}
	return h
}

// Quantile estimates the latency below which the share q of the waits lie:
// interpolated within its bucket on the logarithmic scale of the bounds, from
// zero in the first bucket. It is 0 for an empty histogram, and the last
// finite bound if the quantile lies above it.
func (h Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 || !(q >= 0 && q <= 1) {
		return 0
	}
	rank := q * float64(n)
	var below float64
	for i, c := range h {
		if c == 0 || below+float64(c) < rank {
			below += float64(c)
			continue
		}
		part := (rank - below) / float64(c)
		switch i {
		case 0:
			return seconds(UpperBound(0) * part)
		case Buckets - 1:
			return seconds(UpperBound(Buckets - 2))
		}
		low := UpperBound(i - 1)
		return seconds(low * math.Pow(UpperBound(i)/low, part))
	}
	return seconds(UpperBound(Buckets - 2))
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }
