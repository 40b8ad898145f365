package lab

import (
	"slices"
	"testing"
)

func TestShareOf(t *testing.T) {
	for _, tt := range []struct {
		cpus string
		n    int
		want []string
	}{
		{"0-1", 2, []string{"0", "1"}},
		{"0-7", 2, []string{"0-3", "4-7"}},
		{"0-4", 2, []string{"0-1", "2-4"}},
		{"0,2,4,6", 3, []string{"0", "2", "4,6"}},
		{"0-1", 3, []string{"0", "1", "0"}},
		{"5", 2, []string{"5", "5"}},
	} {
		cpus, err := parseCPUList(tt.cpus)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range tt.n {
			got = append(got, formatCPUList(shareOf(cpus, i, tt.n)))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s among %d: %q, want %q", tt.cpus, tt.n, got, tt.want)
		}
	}
}

func FuzzParseCPUList(f *testing.F) {
	for _, s := range []string{"0", "0-3,8", "0-1\n", "", "-", "3-1", "0-8191"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cpus, err := parseCPUList(s)
		if err != nil {
			return
		}
		again, err := parseCPUList(formatCPUList(cpus))
		if err != nil || !slices.Equal(cpus, again) {
			t.Fatalf("%q: %v, then %v, %v", s, cpus, again, err)
		}
	})
}
