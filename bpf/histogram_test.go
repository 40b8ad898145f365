package bpf

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Every latency lies in the bucket whose bounds enclose it; the bounds are
// computed in floating point here and in integers there. Within a nanosecond
// of a bound either side is right.
func TestBucketBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.Int64Range(0, 60e9).Draw(t, "ns")
		b := Bucket(time.Duration(ns))
		s := float64(ns) / 1e9
		if s > UpperBound(b)+2e-9 {
			t.Fatalf("%d ns in bucket %d, which ends at %g s", ns, b, UpperBound(b))
		}
		if b > 0 && s < UpperBound(b-1)-2e-9*math.Max(1, s) && ns < 1<<lastPower {
			t.Fatalf("%d ns in bucket %d, but the one before ends at %g s", ns, b, UpperBound(b-1))
		}
	})
}

// The first bound is 953.67 ns; scaling rounds down, by less than a nanosecond.
func TestBucketsByHand(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want int
	}{
		{-1, 0},
		{0, 0},
		{953, 0},
		{955, 1},
		{1134, 1},
		{1135, 2},
		{time.Second, 80},
		{time.Second + 10, 81},
		{40 * time.Second, Buckets - 1},
		{1 << 62, Buckets - 1},
	} {
		if got := Bucket(c.d); got != c.want {
			t.Errorf("bucket of %v is %d, want %d (bounds %g, %g)", c.d, got, c.want, UpperBound(got-1), UpperBound(got))
		}
	}
	if UpperBound(80) != 1 || UpperBound(0) != math.Exp2(-20) {
		t.Errorf("bounds %g, %g", UpperBound(80), UpperBound(0))
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 1000 {
		h[Bucket(time.Duration(i+1)*time.Millisecond)]++
	}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		got := h.Quantile(q).Seconds()
		if want := q; got < want/1.19 || got > want*1.19 {
			t.Errorf("quantile %g is %g s, want %g within a bucket", q, got, want)
		}
	}
	if h.Quantile(math.NaN()) != 0 || h.Quantile(2) != 0 {
		t.Error("a quantile of nonsense")
	}
	h[Buckets-1] = 1e6
	if got := h.Quantile(1); got != 32*time.Second {
		t.Errorf("beyond the last bound: %v", got)
	}
}

func TestAddAndSub(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, b Histogram
		for i := range a {
			a[i] = rapid.Uint64Range(0, 1e12).Draw(t, "a")
			b[i] = rapid.Uint64Range(0, 1e12).Draw(t, "b")
		}
		if a.Add(b).Sub(b) != a || a.Add(b).Count() != a.Count()+b.Count() {
			t.Fatal("a + b - b != a")
		}
		if (Histogram{}).Sub(a) != (Histogram{}) {
			t.Fatal("a bucket fell below zero")
		}
	})
}
