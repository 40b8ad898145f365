package load

import (
	"strings"
	"testing"
	"time"
)

func TestAtFollowsThePhases(t *testing.T) {
	tests := []struct {
		schedule string
		up       time.Duration
		want     int
	}{
		{"", time.Hour, 0},
		{"cpu:100", 0, 100},
		{"cpu:30@60s,cpu:100", 59 * time.Second, 30},
		{"cpu:30@60s,cpu:100", 60 * time.Second, 100},
		{"cpu:30@60s,cpu:100", 24 * time.Hour, 100},
		{"cpu:100@20s,cpu:10@20s", 39 * time.Second, 10},
		{"cpu:100@20s,cpu:10@20s", 40 * time.Second, 100},
		{"cpu:100@20s,cpu:10@20s", 61 * time.Second, 10},
	}
	for _, tt := range tests {
		s, err := Parse(tt.schedule)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.At(tt.up).CPUPercent; got != tt.want {
			t.Errorf("%q after %v: cpu %d %%, want %d %%", tt.schedule, tt.up, got, tt.want)
		}
	}
}

func TestParseRefusesAndSaysWhy(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"cpu:101", "0 to 100"},
		{"cpu:-1", "0 to 100"},
		{"cpu", "0 to 100"},
		{"gpu:1", `unknown load "gpu"`},
		{"cpu:1+cpu:2", "named twice"},
		{"cpu:1,cpu:2", "only the last phase"},
		{"cpu:1@0s,cpu:2", "length"},
		{"cpu:1@soon", "length"},
		{"cpu:1@25h", "length"},
		{"dirty:99999", "0 to 4096"},
		{strings.Repeat("cpu:1@1s,", 40) + "cpu:1", "at most 32"},
		{strings.Repeat("c", 600), "kernel command line"},
	} {
		if _, err := Parse(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%.40q) = %v, want an error with %q", tt.in, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "cpu:100", "cpu:30@60s,cpu:100", "cpu:20+dirty:16@1m,cpu:0@1s", "cpu:1@", ",,", "@1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q -> %q -> %v, %v", in, s, again, err)
		}
		for _, up := range []time.Duration{0, time.Second, 1 << 62} {
			if p := s.At(up); p.CPUPercent < 0 || p.CPUPercent > 100 || p.DirtyMiBSec < 0 || p.DirtyMiBSec > MaxDirtyMiB {
				t.Fatalf("%q at %v: %+v", in, up, p)
			}
		}
	})
}
