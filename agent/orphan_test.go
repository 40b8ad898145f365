package agent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// strand leaves the VM paused at the source, with nothing at the target.
func strand(_ context.Context, w *world) error {
	w.set(hvA, agent.RunStatePaused)
	return errors.New("libvirt is not reachable")
}

// TestOrphan is the one repair that evenkeel makes by itself, and what must be
// proven before it.
func TestOrphan(t *testing.T) {
	story(t, "paused at the source, nothing at the target: the source resumes it, once", func(t *testing.T, st *stage) {
		st.world.script = strand
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		m := st.play(60 * time.Second)
		expect(t, m, cluster.MoveFailed, "")
		if got := st.world.running(); len(got) != 1 || got[0] != hvA || st.world.resumed != 1 || !m.StoodPaused {
			t.Errorf("the VM runs on %v, was resumed %d times; %+v", got, st.world.resumed, m)
		}
	})
	story(t, "the target is silent: nobody resumes it until the target has spoken", func(t *testing.T, st *stage) {
		st.world.script = func(ctx context.Context, w *world) error {
			st.stops[hvB]()
			return strand(ctx, w)
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(120*time.Second), cluster.MoveUnknown, "")
		if st.world.resumed != 0 {
			t.Fatal("resumed without the target's word")
		}
		st.start(hvB, nil)
		expect(t, st.play(60*time.Second), cluster.MoveFailed, "")
		if st.world.resumed != 1 {
			t.Errorf("resumed %d times", st.world.resumed)
		}
	})
	story(t, "the source dies with the target's word in hand: an old word counts no more", func(t *testing.T, st *stage) {
		st.world.script = strand
		st.world.byPerson = true // nothing is resumed meanwhile
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		st.play(40 * time.Second)
		st.stops[hvA]()
		st.stops[hvB]()
		st.play(5 * time.Minute)
		st.world.byPerson = false
		st.start(hvA, nil)
		if m := st.play(time.Minute); m.State != cluster.MoveUnknown || st.world.resumed != 0 {
			t.Errorf("%s, resumed %d times on a word of %v ago", m.State, st.world.resumed, st.state().Now.Sub(m.AtTarget.At))
		}
		st.start(hvB, nil)
		expect(t, st.play(60*time.Second), cluster.MoveFailed, "")
	})
	story(t, "a person paused it: it is not ours to resume", func(t *testing.T, st *stage) {
		st.world.script, st.world.byPerson = strand, true
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(120*time.Second), cluster.MoveUnknown, "")
		if st.world.resumed != 0 {
			t.Error("resumed")
		}
	})
	story(t, "the target has a process of it: nothing is resumed", func(t *testing.T, st *stage) {
		st.world.script = func(ctx context.Context, w *world) error {
			w.set(hvB, agent.RunStatePaused)
			return strand(ctx, w)
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(120*time.Second), cluster.MoveUnknown, "")
		if st.world.resumed != 0 {
			t.Error("resumed")
		}
	})
}
