package cluster

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The scales and the error that their comment states, in thousandths.
var scaleBounds = []struct {
	name     string
	s        *scale
	unit     int64
	top      int64
	anchor   int64
	permille int64
}{
	{"CPU time", cpuScale, 1, int64(maxCPUs), 1000, 33},
	{"ratio", ratioScale, 1, int64(Whole + Percent(1)), int64(Whole), 25},
	{"latency", latencyScale, int64(time.Microsecond), int64(time.Minute), int64(time.Millisecond), 35},
}

// A scale has a byte's worth of rising values; zero, anchor and top are among
// them, and every value's nearest is itself.
func TestScales(t *testing.T) {
	for _, c := range scaleBounds {
		if n := len(c.s.values); n > 256 || n < 230 {
			t.Errorf("%s: %d codes; a byte has 256, and they should be used", c.name, n)
		}
		for i, v := range c.s.values {
			if i > 0 && v <= c.s.values[i-1] {
				t.Errorf("%s: %d after %d", c.name, v, c.s.values[i-1])
			}
			if got := c.s.nearest(v); got != i {
				t.Errorf("%s: the nearest code of %d is %d, want %d", c.name, v, got, i)
			}
		}
		for _, v := range []int64{0, c.unit, c.anchor, c.top} {
			if _, ok := c.s.exact(v); !ok {
				t.Errorf("%s: %d is not exact", c.name, v)
			}
		}
		if got := c.s.values[c.s.nearest(1<<62)]; got != c.top {
			t.Errorf("%s: beyond the top: %d", c.name, got)
		}
	}
}

// The stated error holds, rounding is monotone, and what is not zero stays so.
func TestScaleError(t *testing.T) {
	for _, c := range scaleBounds {
		check := func(t interface{ Fatalf(string, ...any) }, v int64) {
			got := c.s.values[c.s.nearest(v)]
			if diff := abs(got - v); diff > c.unit && diff*1000 > v*c.permille {
				t.Fatalf("%s: %d becomes %d", c.name, v, got)
			}
			if (got == 0) != (v == 0) {
				t.Fatalf("%s: %d becomes %d", c.name, v, got)
			}
			if c.s.nearest(v+1) < c.s.nearest(v) {
				t.Fatalf("%s: falls from %d to the next", c.name, v)
			}
		}
		for i := 1; i < len(c.s.values); i++ { // the worst are half-way
			low, high := c.s.values[i-1], c.s.values[i]
			for _, v := range []int64{low + 1, (low + high) / 2, (low+high)/2 + 1, high - 1} {
				check(t, min(v, c.top))
			}
		}
		rapid.Check(t, func(t *rapid.T) { check(t, rapid.Int64Range(0, c.top).Draw(t, "v")) })
	}
}

// A figure that trembles within a step keeps its value, one that moves on does
// not, and coming from or to zero is news.
func TestNearKeepsWhatTrembles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(scaleBounds).Draw(t, "scale")
		before := rapid.SampledFrom(c.s.values).Draw(t, "before")
		v := rapid.Int64Range(0, c.top).Draw(t, "v")
		slack := rapid.Int64Range(0, 1000).Draw(t, "slack")
		got := c.s.near(v, before, slack)
		if i, ok := c.s.exact(got); !ok {
			t.Fatalf("%d is on no scale", got)
		} else if again := c.s.near(got, before, slack); got != before && again != got && again != before {
			t.Fatalf("%d rounds to %d (code %d), and that to %d", v, got, i, again)
		}
		if (got == 0) != (v == 0) {
			t.Fatalf("%d becomes %d", v, got)
		}
		// Two steps at most: one that is kept, and its own half.
		if diff := abs(got - v); diff > slack && diff > c.unit && diff*1000 > v*3*c.permille {
			t.Fatalf("%d becomes %d after %d", v, got, before)
		}
	})
}

// The wide form: exact to 255, then within 0.4 %, monotone, idempotent, and
// its codes rise with the figures and come back.
func TestWide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(0, 1<<rapid.IntRange(1, 62).Draw(t, "bits")).Draw(t, "v")
		got := wide(v)
		if v < 256 && got != v || abs(got-v) > v/250 || wide(got) != got || wide(v+1) < got {
			t.Fatalf("%d becomes %d, the next %d", v, got, wide(v+1))
		}
		code, ok := wideCode(got)
		if !ok || code >= 1<<13 {
			t.Fatalf("%d has code %d, %v", got, code, ok)
		}
		if back, ok := wideValue(code); !ok || back != got {
			t.Fatalf("code %d of %d means %d", code, got, back)
		}
		if more, ok := wideCode(wide(got + got/100 + 1)); ok && more <= code && got < 1<<62 {
			t.Fatalf("the code falls from %d to %d", code, more)
		}
	})
	if _, ok := wideValue(1 << 40); ok {
		t.Error("a code beyond every figure has a value")
	}
	if _, ok := wideCode(258); !ok || wide(513) == 513 {
		t.Error("the wide form has eight bits")
	}
}
