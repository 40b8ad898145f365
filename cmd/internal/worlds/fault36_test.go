package worlds

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// halfSilent plays a fleet of which half of the agents fall silent, and one of
// the others begins to suffer then.
func halfSilent(t *testing.T, scene func(t *testing.T, f *fleet, silent []*daemon)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		f.wild = false
		f.truth.fixed = &fate{name: "moves", takes: 5 * time.Second, moves: true}
		f.truth.crowd(0)
		f.truth.calm()
		defer f.close()
		f.start()
		f.sleep(time.Minute)
		silent := f.daemons[2:hypervisors]
		for _, d := range silent {
			d.freeze()
		}
		f.sleep(30 * time.Second)
		f.truth.crowdLive() // host 0 has the most VMs
		if n := f.counted("order"); n != 0 {
			t.Fatalf("%d orders before anybody suffered", n)
		}
		scene(t, f, silent)
	})
}

// calm lets every VM do next to nothing.
func (tr *truth) calm() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, v := range tr.vms {
		v.demand = 150
	}
}

// Half of the agents fall silent: evenkeel freezes itself, and orders nothing
// for as long as it lasts. Their return ends the freeze, and the work goes on.
func TestFault36HalfTheAgentsSilent(t *testing.T) {
	halfSilent(t, func(t *testing.T, f *fleet, silent []*daemon) {
		for range 20 {
			s := f.state()
			if want := "2 of 4 hypervisors are silent"; s.Frozen.Cause != want || s.Frozen.Until <= s.Now || s.Mode != cluster.ModeAuto {
				t.Fatalf("frozen %+v in mode %s, want %q", s.Frozen, s.Mode, want)
			}
			f.sleep(30 * time.Second)
		}
		if n := f.counted("order"); n != 0 {
			t.Errorf("%d orders while half of the agents were silent", n)
		}
		for _, d := range silent {
			d.resume()
		}
		m := f.await(cluster.MoveDone)
		if s := f.state(); s.Frozen.Until > s.Now || s.Frozen.Since != 0 && s.Frozen.Until == 0 {
			t.Errorf("%s is done, and the freeze still holds: %+v", m.ID, s.Frozen)
		}
		f.rest()
	})
}

// An operator who knows better lifts the freeze while they are silent. Nothing
// goes to, or leaves, a host of which nothing is known, though it may well be
// the emptiest.
func TestFault36NothingMovesOntoSilence(t *testing.T) {
	halfSilent(t, func(t *testing.T, f *fleet, silent []*daemon) {
		f.must(cluster.Resume{})
		f.await(cluster.MoveDone)
		f.sleep(5 * time.Minute)
		for _, m := range f.moves() {
			for _, d := range silent {
				if slices.Contains([]string{m.Source, m.Target}, d.id) {
					t.Errorf("%s goes from %s to %s, and %s is silent", m.ID, m.Source, m.Target, d.name)
				}
			}
		}
		for _, d := range silent {
			d.resume()
		}
		f.rest()
	})
}
