package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// still is a replica that holds one State.
type still struct{ state cluster.State }

func (s still) State() (cluster.State, uint64)            { return s.state, s.state.Index }
func (s still) ReadIndex(context.Context) (uint64, error) { return s.state.Index, nil }
func (s still) Health() consensus.Health                  { return consensus.Health{Part: "follower"} }

func (s still) Propose(context.Context, cluster.Command) (uint64, error) {
	return 0, consensus.ErrNotLeader
}

// remembered is a journal of more decisions than a State keeps, each made on
// the State before it as a leader makes it.
func remembered(t *testing.T, decisions int, spoil func(int, *cluster.Decision)) (*journal.Journal, cluster.State) {
	t.Helper()
	j, err := journal.Open(journal.Config{Dir: filepath.Join(t.TempDir(), "j"), Cluster: apitest.ClusterID, Reserve: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	fleet := apitest.Suffering(map[string]string{})
	s := fleet.State
	apply := func(body cluster.Body) {
		c := cluster.Command{Level: 1, ID: fmt.Sprintf("past-%d", s.Index), Actor: cluster.Actor{Kind: cluster.KindAgent, ID: apitest.HV2, Name: "hv2"}, At: s.Now.Add(time.Second), Body: body}
		data, err := cluster.EncodeCommand(c)
		if err != nil {
			t.Fatal(err)
		}
		before := s
		next, err := s.Apply(cluster.Meta{Index: before.Index + 1, Term: s.Term, Entry: data}, c)
		if err != nil {
			t.Fatal(err)
		}
		s = next
		j.Record(journal.Entry{Mark: journal.Mark{Index: s.Index, Term: s.Term, At: c.At}, Before: before.Index, BeforeTerm: before.Term, Data: data}, s)
	}
	apply(cluster.SetMode{Mode: cluster.ModeRecommend})
	for i := range decisions {
		d, _ := rebalancer.Evaluate(s, apitest.HV2, s.Now.Add(300*time.Millisecond))
		if i%2 == 1 {
			d.Leader = apitest.HV1 // so that no two neighbours are folded
		}
		if spoil != nil {
			spoil(i, &d)
		}
		if apply(cluster.Decide{Decision: d}); i%200 == 0 {
			caughtUp(t, j, s)
		}
	}
	caughtUp(t, j, s)
	return j, s
}

// caughtUp waits for what the journal writes aside.
func caughtUp(t *testing.T, j *journal.Journal, s cluster.State) {
	t.Helper()
	for j.Span().Last.Index != s.Index {
		if t.Context().Err() != nil || j.Span().Lost > 0 {
			t.Fatalf("the journal: %+v", j.Span())
		}
		time.Sleep(time.Millisecond)
	}
}

func askJournal(t *testing.T, j api.Journal, s cluster.State) *api.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := api.Listen(api.Config{
		Replica: still{s}, Journal: j, Name: "hv2", Now: s.Now.Std, Socket: filepath.Join(dir, "s"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c, err := api.Dial(api.Target{Socket: filepath.Join(dir, "s")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestHistoryBeyondTheState(t *testing.T) {
	j, s := remembered(t, 1300, nil)
	past, err := askJournal(t, j, s).Past(t.Context(), api.PastRequest{SinceSeconds: 3600, Decisions: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, kept := s.Size(); kept != cluster.MaxDecisions || len(past.Decisions) < 1300 {
		t.Fatalf("the State keeps %d decisions, the past has %d of 1300; %v", kept, len(past.Decisions), past.Messages)
	}
	for i, d := range past.Decisions[1:] {
		if newer := past.Decisions[i]; d.At.After(newer.At.Time) || d.ID == newer.ID {
			t.Fatalf("%s of %v comes after %s of %v", d.ID, d.At, newer.ID, newer.At)
		}
	}
	if past.Gaps != 0 || past.Complete || len(past.Messages) != 1 || !strings.Contains(past.Messages[0], "hv2 remembers since") {
		t.Errorf("%+v", past.Messages)
	}
	few, err := askJournal(t, j, s).Past(t.Context(), api.PastRequest{SinceSeconds: 3600, Decisions: true, Limit: 7})
	if err != nil || len(few.Decisions) != 7 {
		t.Errorf("%d decisions, want 7: %v", len(few.Decisions), err)
	}
}

func TestReplay(t *testing.T) {
	j, s := remembered(t, 40, func(i int, d *cluster.Decision) {
		if i == 30 {
			d.Text += " (a lie)"
		}
		if i == 20 { // planned on another State than the one that the log has
			d.Input = cluster.Chain(strings.Repeat("ab", 32))
		}
	})
	c := askJournal(t, j, s)
	same, lies, others := 0, 0, 0
	for _, d := range s.DecisionsBackward() {
		if d.Index <= 1 || d.PlannedAt == 0 {
			continue // of the world before the journal began
		}
		r, err := c.Replay(t.Context(), d.ID)
		switch {
		case err != nil && strings.Contains(err.Error(), "its input is gone"):
		case err != nil:
			t.Fatal(err)
		case r.Same:
			same++
		case strings.HasSuffix(r.Recorded.Text, "(a lie)"):
			lies++
		case r.Recorded.Input != r.Again.Input:
			others++
		default:
			t.Errorf("%s: recorded %q, again %q", d.ID, r.Recorded.Text, r.Again.Text)
		}
	}
	if same < 37 || lies != 1 || others != 1 {
		t.Errorf("%d are the same, %d lies and %d other States were found", same, lies, others)
	}
	if _, err := c.Replay(t.Context(), "d-ffff"); err == nil || !strings.Contains(err.Error(), "its input is gone") {
		t.Errorf("a decision that never was: %v", err)
	}
	if _, err := c.Replay(t.Context(), "m-1"); err == nil || !strings.Contains(err.Error(), "is no decision's id") {
		t.Errorf("a move: %v", err)
	}
}
