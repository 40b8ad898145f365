package cluster

import (
	"fmt"
	"testing"
	"time"
)

// What foreign moves are taken for. Each line is minutes, VM, source, target.
func TestOtherHands(t *testing.T) {
	type hop struct {
		minute   int
		vm       string
		from, to string
	}
	for _, c := range []struct {
		name     string
		cordon   string // by ann, beforehand
		hops     []hop
		cordoned string // in the end
		frozen   bool
	}{
		{"one VM moved by hand", "", []hop{{0, "a", hv1, hv2}}, "", false},
		{"a drain: 2 away from hv1 within 15 min", "", []hop{{0, "a", hv1, hv2}, {15, "b", hv1, hv3}}, hv1, false},
		{"2 away within 16 min are none", "", []hop{{0, "a", hv1, hv2}, {16, "b", hv1, hv3}}, "", false},
		{"a drain of many", "", []hop{{0, "a", hv1, hv2}, {1, "b", hv1, hv3}, {2, "c", hv1, hv2}, {3, "d", hv1, hv3}}, hv1, false},
		{"a drain that is taken back", "", []hop{{0, "a", hv1, hv2}, {1, "b", hv1, hv3}, {2, "c", hv1, hv2}, {60, "a", hv2, hv1}, {61, "b", hv3, hv1}, {62, "c", hv2, hv1}}, hv1, false},
		{"drains of two hosts, one after the other", "", []hop{{0, "a", hv1, hv2}, {1, "b", hv1, hv2}, {40, "c", hv3, hv2}, {41, "d", hv3, hv2}}, hv1, false},
		{"VMs come as well: no drain", "", []hop{{0, "a", hv2, hv1}, {1, "b", hv1, hv3}, {2, "c", hv1, hv3}}, "", true},
		{"a balancer: 3 within an hour", "", []hop{{0, "a", hv1, hv2}, {20, "b", hv2, hv3}, {59, "c", hv3, hv1}}, "", true},
		{"3 in more than an hour", "", []hop{{0, "a", hv1, hv2}, {30, "b", hv2, hv3}, {60, "c", hv3, hv1}}, "", false},
		{"a slow drain of a host that ann cordoned", hv1, []hop{{0, "a", hv1, hv2}, {20, "b", hv1, hv2}, {40, "c", hv1, hv2}}, hv1, false},
	} {
		w := newWorld(t)
		if c.cordon != "" {
			w.must(byOperator, SetCordon{Host: c.cordon})
		}
		s := w.s
		began := s.Now
		for _, h := range c.hops {
			s.Now = began.Add(time.Duration(h.minute) * time.Minute)
			s.foreign(Foreign{h.vm, h.from, h.to, s.Now})
		}
		if s.Frozen.holds(s.Now) != c.frozen {
			t.Errorf("%s: frozen %+v", c.name, s.Frozen)
		}
		if len(s.Cordons) == 0 != (c.cordoned == "") || c.cordoned != "" && s.Cordons[0].Host != c.cordoned {
			t.Errorf("%s: cordoned %+v", c.name, s.Cordons)
		}
	}
}

// An operator who resumed knows of the other balancer's moves so far: it takes
// three more to freeze again.
func TestResumedBesideABalancer(t *testing.T) {
	w := newWorld(t)
	ends := []string{hv1, hv2, hv3}
	move := func(n int) {
		w.wait(time.Minute)
		w.s.Now = w.s.Now.Add(time.Minute)
		w.s.foreign(Foreign{fmt.Sprint(n), ends[n%3], ends[(n+1)%3], w.s.Now})
	}
	for n := range 3 {
		move(n)
	}
	if !w.s.Frozen.holds(w.s.Now) {
		t.Fatal("not frozen")
	}
	w.must(byOperator, Resume{})
	for n := range 2 {
		move(n)
		if w.s.Frozen.holds(w.s.Now) {
			t.Fatalf("frozen after %d more: %+v", n+1, w.s.Frozen)
		}
	}
	move(2)
	if !w.s.Frozen.holds(w.s.Now) {
		t.Error("not frozen after three more")
	}
}

// A VM that other hands moved has its cooldown, and one move less to bear.
func TestForeignMovesCount(t *testing.T) {
	w := newWorld(t)
	w.s.foreign(Foreign{vmA, hv2, hv1, w.s.Now})
	if w.s.movedAt(vmA) != w.s.Now || w.s.movedAt(vmB) != 0 {
		t.Errorf("moved at %v", w.s.movedAt(vmA).Std())
	}
	if w.s.disruption(vmA).Moves != 1 || w.s.Disruptions()[vmA].Moves != 1 || w.s.disruption(vmB).Moves != 0 {
		t.Errorf("bore %+v", w.s.Disruptions())
	}
	h, _ := w.s.Host(hv1)
	if h.DisturbedAt != w.s.Now {
		t.Error("the target's figures stand as if nothing had come")
	}
}

// What is remembered is bounded, and what is old is forgotten.
func TestOtherHandsAreForgotten(t *testing.T) {
	w := newWorld(t)
	for n := range MaxForeign + 5 {
		w.s.foreign(Foreign{fmt.Sprint(n), hv1, hv2, w.s.Now})
	}
	for n := range maxSightings + 5 {
		w.s.note(Sighting{fmt.Sprint(n), hv1, w.s.Now, true})
	}
	if len(w.s.Foreigns) != MaxForeign || w.s.Foreigns[0].VM != "5" || len(w.s.Sightings) != maxSightings {
		t.Errorf("%d foreign moves, the oldest of %s; %d sightings", len(w.s.Foreigns), w.s.Foreigns[0].VM, len(w.s.Sightings))
	}
	w.s.Now = w.s.Now.Add(foreignFor)
	w.s.foreign(Foreign{vmA, hv1, hv2, w.s.Now})
	w.s.note(Sighting{vmA, hv1, w.s.Now, true})
	if len(w.s.Foreigns) != 1 || len(w.s.Sightings) != 1 {
		t.Errorf("%d foreign moves and %d sightings after a week", len(w.s.Foreigns), len(w.s.Sightings))
	}
}
