package cluster

import (
	"testing"
	"time"
)

// suffer lets hv1 beat once a second at a steal, and returns after how long
// its excess has lasted, at most a limit.
func (w *world) suffer(steal Ratio, limit time.Duration) time.Duration {
	for d := time.Duration(0); d <= limit; {
		d += time.Second
		w.wait(time.Second)
		snap := w.snapshot(hv1)
		snap.Load.Contention, snap.Load.ContentionMax = steal, steal
		w.must(byLeader, Snapshots{[]Snapshot{snap, w.snapshot(hv2), w.snapshot(hv3)}})
		if h, _ := w.s.Host(hv1); h.Excess >= w.s.Settings.Sustained() {
			return d
		}
	}
	return -1
}

// Fast weighs by how far above the threshold (10 %): at twice and more after
// 3 s, at 1.5 times after 6 s, at 1.2 times after 15 s. Steady takes 3 min.
func TestSustained(t *testing.T) {
	for _, c := range []struct {
		profile Profile
		steal   Ratio
		want    time.Duration
	}{
		{ProfileFast, Percent(75), 3 * time.Second},
		{ProfileFast, Percent(20), 3 * time.Second},
		{ProfileFast, Percent(15), 6 * time.Second},
		{ProfileFast, Percent(12), 15 * time.Second},
		{ProfileFast, Percent(10), -1},
		{ProfileSteady, Percent(75), 3 * time.Minute},
		{ProfileSteady, Percent(11), 3 * time.Minute},
		{ProfileSteady, Percent(10), -1},
	} {
		w := newWorld(t)
		set := w.s.Settings
		set.Profile = c.profile
		w.must(byOperator, SetSettings{Settings: set})
		if got := w.suffer(c.steal, 4*time.Minute); got != c.want {
			t.Errorf("%s at %v: fires after %v, want %v", c.profile, c.steal, got, c.want)
		}
	}
}

// Between the thresholds nothing is added and nothing forgotten; below the
// exit threshold all is.
func TestExcessHysteresis(t *testing.T) {
	w := newWorld(t)
	excess := func() time.Duration {
		h, _ := w.s.Host(hv1)
		return h.Excess
	}
	w.suffer(Percent(50), 9*time.Second)
	had := excess()
	if had == 0 {
		t.Fatal("nothing accumulated")
	}
	w.suffer(Percent(7), 5*time.Second)
	if excess() != had {
		t.Errorf("between the thresholds the excess went from %v to %v", had, excess())
	}
	w.suffer(Percent(4), 0)
	if h, _ := w.s.Host(hv1); h.Excess != 0 || h.ExcessSince != 0 {
		t.Errorf("below the exit threshold %v is left", h.Excess)
	}
}

// A silence counts as one beat of at most MaxSilence, however long it was.
func TestSilenceIsNoExcess(t *testing.T) {
	w := newWorld(t)
	w.suffer(Percent(50), 0)
	before, _ := w.s.Host(hv1)
	w.wait(10 * time.Minute)
	w.suffer(Percent(50), 0)
	after, _ := w.s.Host(hv1)
	if got := after.Excess - before.Excess; got != MaxSilence {
		t.Errorf("ten silent minutes counted as %v", got)
	}
}

// While its window carries a move, a host accumulates nothing.
func TestDisturbedHostsAccumulateNothing(t *testing.T) {
	w := newWorld(t)
	w.suffer(Percent(50), 9*time.Second)
	w.running()
	h, _ := w.s.Host(hv1)
	if h.Excess != 0 || h.Settled() {
		t.Fatalf("after a move began: excess %v, settled %v", h.Excess, h.Settled())
	}
	w.suffer(Percent(50), 8*time.Second)
	if h, _ = w.s.Host(hv1); h.Excess != 0 || h.Settled() {
		t.Errorf("9 s into a window of 10 s: excess %v, settled %v", h.Excess, h.Settled())
	}
	w.suffer(Percent(50), time.Second)
	if h, _ = w.s.Host(hv1); h.Excess == 0 || !h.Settled() {
		t.Errorf("after the window: excess %v, settled %v", h.Excess, h.Settled())
	}
}

func TestPainAndDemand(t *testing.T) {
	for _, c := range []struct{ mean, worst, want Ratio }{
		{Percent(10), Percent(10), Percent(10)}, {Percent(10), Percent(60), Percent(30)}, {0, Percent(100), Percent(50)},
	} {
		host := Load{Steal: Whole, StealMax: Whole, Contention: c.mean, ContentionMax: c.worst}
		if got := host.Pain(); got != c.want {
			t.Errorf("a host with contention %v, worst vCPU %v: pain %v, want %v", c.mean, c.worst, got, c.want)
		}
		vm := VMLoad{Steal: Whole, StealMax: Whole, Contention: c.mean, ContentionMax: c.worst}
		if got := vm.Pain(); got != c.want {
			t.Errorf("a VM with contention %v, worst vCPU %v: pain %v, want %v", c.mean, c.worst, got, c.want)
		}
	}
	for _, c := range []struct{ run, wait, sleep, want time.Duration }{
		{250, 750, 0, 1000}, // never slept: all it waited it would have run
		{250, 0, 750, 250},
		{250, 250, 500, 250}, // slept longer than it waited
		{250, 400, 200, 450}, // between
		{250, 750, -5, 1000}, // clocks disagree
		{250, -1, 100, 250},
	} {
		if got := Demand(c.run, c.wait, c.sleep); got != c.want {
			t.Errorf("Demand(%d, %d, %d) = %d, want %d", c.run, c.wait, c.sleep, got, c.want)
		}
	}
}
