package cluster

import "testing"

func TestCPUSets(t *testing.T) {
	for set, want := range map[CPUSet]int{"": 0, "0": 1, "0-3,8": 5, "16383": 1, "2,3": 2} {
		if err := set.check(); err != nil || set.Count() != want {
			t.Errorf("%q: %d CPUs, %v, want %d", set, set.Count(), err, want)
		}
	}
	for _, set := range []CPUSet{"3-0", "0,0", "3,1", "-1", "0-", "a", "0-3:2/4", "^2", "16384", "0, 1", "0-1,1-2"} {
		if set.check() == nil {
			t.Errorf("%q is taken for a set", set)
		}
	}
	for _, c := range []struct {
		inner, outer CPUSet
		want         bool
	}{
		{"0-3", "", true},
		{"0-3", "0-3", true},
		{"1,3", "0-3", true},
		{"0-3", "0-1,2-3", false},
		{"0,8", "0-3,8-9", true},
		{"0-4", "0-3", false},
		{"9", "0-3,8", false},
		{"", "0-3", false},
		{"2-5", "4-8", false},
	} {
		if got := c.inner.Within(c.outer); got != c.want {
			t.Errorf("%q within %q: %v", c.inner, c.outer, got)
		}
	}
}

func FuzzCPUSet(f *testing.F) {
	for _, s := range []string{"0-3,8", "16383", "0-", "1-0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set := CPUSet(text)
		if n := set.Count(); n < 0 || n > maxCPUNumber || set != "" && (set.check() == nil) != (n > 0) {
			t.Fatalf("%q has %d CPUs, %v", text, n, set.check())
		}
		if set.check() == nil && !set.Within(set) {
			t.Fatalf("%q is not within itself", text)
		}
	})
}
