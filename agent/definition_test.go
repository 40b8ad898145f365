package agent_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/agent"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// defines is a transfer that does with definitions what libvirt was asked for,
// and leaves the autostart behind, as libvirt does.
func defines(ctx context.Context, w *world) error {
	if err := transfer(ctx, w); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked.Persist {
		w.defined[hvB] = agent.Definition{Persistent: true}
	}
	if w.asked.Undefine {
		delete(w.defined, hvA)
	}
	return nil
}

func (st *stage) settings(change func(*cluster.Settings)) {
	st.t.Helper()
	set := cluster.DefaultSettings()
	set.AllowUnlocked, set.WarmUp = true, 0
	change(&set)
	st.must(cluster.Command{Level: 1, Actor: cluster.Actor{Kind: cluster.KindOperator, ID: "op", Name: "ann"}, Body: cluster.SetSettings{Settings: set}})
}

func TestDefinitions(t *testing.T) {
	started := agent.Definition{Persistent: true, Autostart: true}
	plain := agent.Definition{Persistent: true}
	for name, c := range map[string]struct {
		policy cluster.Definitions
		was    agent.Definition
		want   map[string]agent.Definition
		kept   cluster.Autostart
	}{
		"transient, follow":     {"", agent.Definition{}, map[string]agent.Definition{}, ""},
		"transient, everywhere": {cluster.DefinitionsEverywhere, agent.Definition{}, map[string]agent.Definition{}, ""},
		"follow":                {"", plain, map[string]agent.Definition{hvB: plain}, ""},
		"follow, autostart":     {cluster.DefinitionsFollow, started, map[string]agent.Definition{hvB: started}, cluster.AutostartKept},
		"everywhere":            {cluster.DefinitionsEverywhere, plain, map[string]agent.Definition{hvA: plain, hvB: plain}, ""},
		"everywhere, autostart": {cluster.DefinitionsEverywhere, started, map[string]agent.Definition{hvA: plain, hvB: started}, cluster.AutostartKept},
		"at home":               {cluster.DefinitionsTransient, plain, map[string]agent.Definition{hvA: plain}, ""},
	} {
		story(t, name, func(t *testing.T, st *stage) {
			st.settings(func(set *cluster.Settings) { set.Definitions = c.policy })
			st.world.script, st.world.defined = defines, map[string]agent.Definition{}
			if c.was.Persistent {
				st.world.defined[hvA] = c.was
			}
			st.start(hvA, nil)
			st.start(hvB, nil)
			st.order()
			m := st.play(30 * time.Second)
			expect(t, m, cluster.MoveDone, "")
			if m.Autostart != c.kept || !maps.Equal(st.world.definitions(), c.want) {
				t.Errorf("autostart %q, definitions %+v; want %q, %+v", m.Autostart, st.world.definitions(), c.kept, c.want)
			}
		})
	}
}

func TestAutostart(t *testing.T) {
	started := func(st *stage, policy cluster.Definitions) {
		st.settings(func(set *cluster.Settings) { set.Definitions = policy })
		st.world.script = defines
		st.world.defined = map[string]agent.Definition{hvA: {Persistent: true, Autostart: true}}
	}
	story(t, "definitions stay at home: the VM would be started there again", func(t *testing.T, st *stage) {
		started(st, cluster.DefinitionsTransient)
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveReleased, cluster.CodeAutostartStays)
		if st.world.called != 0 {
			t.Error("libvirt was called")
		}
	})
	story(t, "the target's daemon is away until the source has spoken", func(t *testing.T, st *stage) {
		started(st, "")
		st.world.script = func(ctx context.Context, w *world) error {
			st.stops[hvB]()
			return defines(ctx, w)
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		st.play(15 * time.Second)
		if d := st.world.definitions()[hvB]; !d.Persistent || d.Autostart {
			t.Fatalf("at the target: %+v", d)
		}
		st.start(hvB, nil)
		if m := st.play(20 * time.Second); m.State != cluster.MoveDone || m.Autostart != cluster.AutostartKept || !st.world.definitions()[hvB].Autostart {
			t.Errorf("%s, autostart %q; at the target %+v", m.State, m.Autostart, st.world.definitions()[hvB])
		}
	})
	story(t, "libvirt sets it at the third try", func(t *testing.T, st *stage) {
		started(st, "")
		st.world.setFails = 2
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		if m := st.play(20 * time.Second); m.Autostart != cluster.AutostartKept {
			t.Errorf("%s, autostart %q", m.State, m.Autostart)
		}
	})
	story(t, "libvirt never sets it: the move ends, and says so", func(t *testing.T, st *stage) {
		started(st, "")
		st.world.setFails = 100
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		if m := st.play(20 * time.Second); m.State != cluster.MoveDone || m.Autostart != cluster.AutostartLost {
			t.Errorf("%s, autostart %q", m.State, m.Autostart)
		}
	})
	story(t, "a move that fails leaves it where it was", func(t *testing.T, st *stage) {
		started(st, cluster.DefinitionsEverywhere)
		st.world.script = func(context.Context, *world) error { return errors.New("no route to host") }
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		if m := st.play(20 * time.Second); m.State != cluster.MoveFailed || m.Autostart != "" || !st.world.definitions()[hvA].Autostart {
			t.Errorf("%s, autostart %q; at the source %+v", m.State, m.Autostart, st.world.definitions()[hvA])
		}
	})
	story(t, "the answer was lost: the source hears from the State to unset its own", func(t *testing.T, st *stage) {
		started(st, cluster.DefinitionsEverywhere)
		st.world.script = func(ctx context.Context, w *world) error {
			return errors.Join(defines(ctx, w), errors.New("connection reset by peer"))
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		st.order()
		if m := st.play(20 * time.Second); m.Autostart != cluster.AutostartKept || !st.world.definitions()[hvA].Autostart {
			t.Fatalf("%s, autostart %q; at the source %+v", m.State, m.Autostart, st.world.definitions()[hvA])
		}
		by := cluster.Actor{Kind: cluster.KindAgent, ID: hvA}
		st.must(cluster.Command{Level: 1, Actor: by, Body: cluster.Describe{Incarnation: 1, Revision: 1, Offer: &cluster.Offer{}, Starts: []string{vm1}}})
		st.world.set(hvA, agent.RunStateRunning) // a VM that has come back is left alone
		st.play(20 * time.Second)
		if !st.world.definitions()[hvA].Autostart {
			t.Error("unset while it runs there")
		}
		st.world.set(hvA, agent.RunStateAbsent)
		st.play(40 * time.Second)
		if st.world.definitions()[hvA].Autostart || !st.world.definitions()[hvB].Autostart {
			t.Errorf("definitions %+v", st.world.definitions())
		}
	})
	story(t, "the VM's definition can't be read", func(t *testing.T, st *stage) {
		st.world.defined = map[string]agent.Definition{}
		st.start(hvA, func(*agent.Live) { st.world.set(hvA, agent.RunStateAbsent) }) // stopped since it was listed
		st.start(hvB, nil)
		st.order()
		expect(t, st.play(20*time.Second), cluster.MoveReleased, cluster.CodeUnknownVM)
	})
}
