package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// The source asks its hook before it claims, and tells the other one when the
// move is over; a veto ends the order with its words, and nothing has begun.
func TestHooksOfAMove(t *testing.T) {
	scene := func(t *testing.T, st *stage, pre string) (told func() string) {
		st.hooks = t.TempDir()
		said := filepath.Join(st.hooks, "said")
		for name, script := range map[string]string{
			"pre-move":  "echo asked for $EVENKEEL_MOVE from $EVENKEEL_SOURCE to $EVENKEEL_TARGET >> said\n" + pre,
			"post-move": "echo told of $EVENKEEL_MOVE: $EVENKEEL_OUTCOME >> said",
		} {
			if err := os.WriteFile(filepath.Join(st.hooks, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		st.start(hvA, nil)
		st.start(hvB, nil)
		return func() string {
			data, _ := os.ReadFile(said)
			return string(data)
		}
	}
	story(t, "they let it pass", func(t *testing.T, st *stage) {
		told := scene(t, st, "exit 0")
		st.order()
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveDone, "")
		if got, want := told(), "asked for "+m.ID+" from hv-a to hv-b\ntold of "+m.ID+": left\n"; got != want {
			t.Errorf("hooks said %q, want %q", got, want)
		}
	})
	story(t, "a veto", func(t *testing.T, st *stage) {
		told := scene(t, st, "echo the backup runs; exit 1")
		st.order()
		m := st.play(20 * time.Second)
		expect(t, m, cluster.MoveVetoed, cluster.CodeHookVeto)
		if !strings.HasSuffix(m.Why, "exit status 1: the backup runs") || st.world.called != 0 {
			t.Errorf("vetoed: %q; libvirt was called %d times", m.Why, st.world.called)
		}
		if got := told(); strings.Contains(got, "told of") {
			t.Errorf("nothing began, and the hook for the end was told: %q", got)
		}
	})
}
