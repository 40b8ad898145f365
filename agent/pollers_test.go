package agent

import (
	"testing"
	"time"
)

// Four guests with two vCPUs each, looked at every 5 s for an hour.
func TestPollers(t *testing.T) {
	var p pollers
	const each = 5
	now := time.Duration(0)
	for s := uint64(each); s <= 3600; s += each {
		now = time.Duration(s) * time.Second
		for _, v := range []struct {
			tid       int
			voluntary uint64
			busy      int64
		}{
			{10, 40 + s/100, 1000}, {11, 41, 999}, // idle=poll
			{20, 100 * s, 1000}, {21, 5 * s, 500}, // busy, with ticks and pauses
			{30, 9, 1000}, {31, 250 * s, 300}, // DPDK on one of two
			{40, 3, 0}, {41, 3, 0}, // stopped: sleeps through
		} {
			p.note(v.tid, now, v.voluntary, v.busy)
		}
		if s < 1800 && p.poller([]int{10, 11}, now) {
			t.Fatalf("marked after %d s", s)
		}
	}
	for _, c := range []struct {
		vcpus []int
		want  bool
	}{{[]int{10, 11}, true}, {[]int{20, 21}, false}, {[]int{30, 31, -1}, true}, {[]int{30, 31, 20}, false}, {[]int{40, 41}, false}, {nil, false}, {[]int{99}, false}} {
		if got := p.poller(c.vcpus, now); got != c.want {
			t.Errorf("%v: %v", c.vcpus, got)
		}
	}
	p.note(10, now+each*time.Second, 10_000, 1000) // it slept
	p.note(11, now+each*time.Second, 0, 1000)      // another thread with the same id
	if p.poller([]int{10, 11}, now+each*time.Second) {
		t.Error("still marked")
	}
	p.keep(map[int]bool{11: true})
	if len(p.vcpus) != 1 {
		t.Errorf("%d threads kept", len(p.vcpus))
	}
	if p.poller([]int{11}, now+2*time.Hour) {
		t.Error("marked by a look two hours ago")
	}
}

func TestUseful(t *testing.T) {
	if a, b := useful(800, 300), useful(300, 301); a != 500 || b != 0 {
		t.Error(a, b)
	}
}
