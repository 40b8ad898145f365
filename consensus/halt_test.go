package consensus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What a newer binary may write into the log, and what damage may leave there.
func TestHalt(t *testing.T) {
	for name, c := range map[string]struct{ entry, word string }{
		"higher level": {`{"level":2,"kind":"set-mode","actor":{"kind":"operator","id":"op"},"at":946684800000000000,"body":{"mode":"off"}}`, "feature level"},
		"unknown kind": {`{"level":1,"kind":"teleport","actor":{"kind":"operator","id":"op"},"at":946684800000000000,"body":{}}`, "teleport"},
		"damaged":      {`{"level":1,"kind":"set-mode","bo`, "decode command"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, 3)
				w.startAll()
				defer w.closeAll()
				before := w.must(cluster.Command{Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
				f := w.leader().node.raft.Apply([]byte(c.entry), 0)
				if err := f.Error(); err == nil {
					if err, ok := f.Response().(error); !ok || !errors.Is(err, ErrHalted) {
						t.Errorf("response %v, want ErrHalted", f.Response())
					}
				}
				time.Sleep(10 * time.Second)
				// A leader that halts may leave the last follower without the news that
				// the entry is committed, and without a majority to learn it from.
				halted := 0
				for _, h := range w.running() {
					if h.node.Health().Halted != "" {
						checkHalted(t, h, c.word)
						halted++
					}
					if _, index := h.node.State(); index != before {
						t.Errorf("state is at %d, the last good entry was %d", index, before)
					}
				}
				if halted < 2 {
					t.Errorf("%d replicas halted", halted)
				}
				// It does not skip the entry after a restart either.
				h := w.hosts[0]
				h.close()
				h.start()
				time.Sleep(10 * time.Second)
				w.hosts[1].close()
				w.hosts[1].start()
				time.Sleep(20 * time.Second)
				for _, h := range w.hosts[:2] {
					if s, _ := h.node.State(); s.Mode == cluster.ModeOff || s.Index > before {
						t.Errorf("after a restart: mode %s, index %d: the entry was applied or skipped", s.Mode, s.Index)
					}
				}
			})
		})
	}
}

func checkHalted(t *testing.T, h *host, word string) {
	t.Helper()
	health := h.node.Health()
	if !strings.Contains(health.Halted, word) || health.Healthy() || health.Part != "shutdown" {
		t.Errorf("health: part %s, halted %q, want a word of %q", health.Part, health.Halted, word)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := h.node.Propose(ctx, cluster.Command{Actor: operator, Body: cluster.Resume{}}); !errors.Is(err, ErrHalted) {
		t.Errorf("propose: %v, want ErrHalted", err)
	}
	if _, err := h.node.fsm.Snapshot(); !errors.Is(err, ErrHalted) {
		t.Errorf("snapshot: %v, want ErrHalted", err)
	}
}

// A leader does not put into the log what would halt the replicas.
func TestProposeRefusesWhatWouldHalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.startAll()
		defer w.closeAll()
		for name, c := range map[string]cluster.Command{
			"no body":     {},
			"level":       {Level: 2, Body: cluster.Resume{}},
			"long id":     {ID: strings.Repeat("x", 200), Body: cluster.Resume{}},
			"huge":        {Body: cluster.Cancel{Text: strings.Repeat("x", cluster.MaxCommandBytes)}},
			"long reason": {Actor: cluster.Actor{ID: strings.Repeat("x", 200)}, Body: cluster.Resume{}},
		} {
			if _, _, err := w.propose(c); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
	})
}

func TestDuplicateID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 3)
		w.startAll()
		defer w.closeAll()
		off := cluster.Command{ID: "one", Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeOff}}
		first := w.must(off)
		w.must(cluster.Command{ID: "two", Actor: operator, Body: cluster.SetMode{Mode: cluster.ModeAuto}})
		w.leader().kill() // the memory of IDs is in the State
		if again := w.must(off); again <= first {
			t.Errorf("index %d after %d", again, first)
		}
		s, _ := w.leader().node.State()
		if s.Mode != cluster.ModeAuto {
			t.Errorf("mode %s: a repeated command was applied twice", s.Mode)
		}
		bad := cluster.Command{ID: "three", Actor: operator, Body: cluster.Cancel{Move: "m-77"}}
		_, _, err := w.propose(bad)
		_, _, again := w.propose(bad)
		if fmt.Sprint(err) != fmt.Sprint(again) || cluster.RefusalOf(again) == nil {
			t.Errorf("refused with %v, repeated with %v", err, again)
		}
	})
}
