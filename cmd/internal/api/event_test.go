package api_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/api/apitest"
	"github.com/evenkeel/evenkeel/cmd/internal/events"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// happening is a member whose memory of events grows by hand.
type happening struct {
	*events.Memory
	state cluster.State
	asked chan struct{} // gets a word each time somebody looked
}

func newHappening() *happening {
	return &happening{Memory: events.New(nil), state: apitest.Suffering(nil).State, asked: make(chan struct{}, 1000)}
}

// After implements api.Events.
func (h *happening) After(ctx context.Context, index uint64, limit int) (events.Page, error) {
	defer func() { h.asked <- struct{}{} }()
	return h.Memory.After(ctx, index, limit)
}

func (h *happening) do(body cluster.Body) {
	h.doAs(cluster.Actor{Kind: cluster.KindOperator, ID: "uid:1", Name: "ann"}, body)
}

func (h *happening) doAs(who cluster.Actor, body cluster.Body) {
	c := cluster.Command{Level: 1, Actor: who, At: h.state.Now.Add(time.Second), Body: body}
	meta := cluster.Meta{Index: h.state.Index + 1, Term: h.state.Term}
	next, err := h.state.Apply(meta, c)
	if err != nil {
		panic(err)
	}
	h.Take(consensus.Applied{Meta: meta, Before: cluster.Meta{Index: h.state.Index, Term: h.state.Term}, Command: c, Prior: h.state, State: next})
	h.state = next
}

// serve answers about what happens; end stops the server.
func (h *happening) serve(t *testing.T, log *buffer) (c *api.Client, end func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ek") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := api.Listen(api.Config{
		Replica: still{h.state}, Events: h, Name: "hv2", Now: h.state.Now.Std, Socket: filepath.Join(dir, "s"), Logger: slog.New(slog.NewTextHandler(log, nil)),
		Webhooks: func() []api.Webhook {
			since := api.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			return []api.Webhook{{Name: "pager", Active: true, FailingSince: since, Error: "no answer in time", Dropped: 3}, {Name: "well", Active: true}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	ended := false
	end = func() error {
		if ended {
			return nil
		}
		ended = true
		stop()
		return <-done
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	if c, err = api.Dial(api.Target{Socket: filepath.Join(dir, "s")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, end
}

func TestEventsRequestsThatMakeNoSense(t *testing.T) {
	c, _ := newHappening().serve(t, &buffer{})
	at := uint64(3)
	for says, req := range map[string]api.EventsRequest{
		"say one of":             {After: &at, Last: 3},
		"since_seconds is -1":    {SinceSeconds: -1},
		"since_seconds is 1e+18": {SinceSeconds: 1e18},
		"last is -1":             {Last: -1},
		"last is 9999":           {Last: 9999},
		"limit is 1001":          {Limit: 1001},
		"limit is -1":            {Limit: -1},
		"wait_seconds is 21":     {WaitSeconds: 21},
		"wait_seconds is -2":     {WaitSeconds: -2},
		`severity "loud"`:        {Severity: "loud"},
		`"move-lost" is no kind`: {Kinds: []cluster.EventKind{"move-lost"}},
		"65 kinds":               {Kinds: make([]cluster.EventKind, 65)},
	} {
		_, err := c.Events(t.Context(), req)
		var call *api.Error
		if !errors.As(err, &call) || call.Cause != api.CauseUsage || !strings.Contains(call.Text, says) {
			t.Errorf("%q: %v", says, err)
		}
	}
	if _, err := c.Events(t.Context(), api.EventsRequest{WaitSeconds: math.NaN()}); err == nil {
		t.Error("NaN seconds were taken")
	}
}

func TestEventsByPositionAndFilter(t *testing.T) {
	h := newHappening()
	begin := h.state.Index
	h.do(cluster.SetMode{Mode: cluster.ModeOff})
	h.do(cluster.Freeze{Cause: "test"})
	h.do(cluster.SetMode{Mode: cluster.ModeRecommend})
	c, _ := h.serve(t, &buffer{})
	ask := func(req api.EventsRequest) (*api.EventPage, string) {
		t.Helper()
		page, err := c.Events(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, e := range page.Items {
			kinds = append(kinds, string(e.Kind))
		}
		return page, strings.Join(kinds, " ")
	}
	page, kinds := ask(api.EventsRequest{After: &begin})
	if kinds != "mode-changed freeze-set mode-changed" || page.Through != begin+3 || page.More || page.Missing || page.Member != "hv2" || page.Stale == nil {
		t.Errorf("%s; %+v", kinds, page)
	}
	if e := page.Items[0]; e.By != "ann" || e.ID != api.EventOf(cluster.Event{Index: begin + 1}).ID || e.Subjects == nil {
		t.Errorf("%+v", e)
	}
	if page, kinds := ask(api.EventsRequest{After: &begin, Limit: 1}); kinds != "mode-changed" || !page.More || page.Through != begin+1 {
		t.Errorf("a page of one: %s; %+v", kinds, page)
	}
	if _, kinds := ask(api.EventsRequest{After: &begin, Severity: cluster.SeverityCritical}); kinds != "freeze-set" {
		t.Errorf("critical ones: %s", kinds)
	}
	if _, kinds := ask(api.EventsRequest{Last: 2}); kinds != "freeze-set mode-changed" {
		t.Errorf("the last two: %s", kinds)
	}
	if page, kinds := ask(api.EventsRequest{}); kinds != "" || page.Through != begin+3 {
		t.Errorf("from now on: %s; %+v", kinds, page)
	}
	early := begin - 1
	if page, kinds := ask(api.EventsRequest{After: &early}); kinds != "mode-changed freeze-set mode-changed" || !page.Missing {
		t.Errorf("from before the memory: %s; %+v", kinds, page)
	}
	ahead := begin + 100
	if page, kinds := ask(api.EventsRequest{After: &ahead}); kinds != "" || page.Through != ahead {
		t.Errorf("from where this member has not got to: %s; %+v", kinds, page)
	}
}

// waiting asks for the next freeze and returns once the server waits for it.
func (h *happening) waiting(t *testing.T, c *api.Client) <-chan error {
	t.Helper()
	answered := make(chan error, 1)
	go func() {
		page, err := c.Events(context.Background(), api.EventsRequest{Kinds: []cluster.EventKind{cluster.EventFreezeSet}, WaitSeconds: 20})
		if err == nil && len(page.Items) != 1 {
			err = errNothing
		}
		answered <- err
	}()
	<-h.asked
	return answered
}

var errNothing = errors.New("nothing happened")

// Who waits is answered when what is wanted happens, not by what is not.
func TestEventsAreWaitedFor(t *testing.T) {
	h := newHappening()
	h.do(cluster.SetMode{Mode: cluster.ModeOff})
	c, _ := h.serve(t, &buffer{})
	answered := h.waiting(t, c)
	h.do(cluster.SetMode{Mode: cluster.ModeRecommend})
	<-h.asked // it has looked at that
	h.do(cluster.Freeze{Cause: "test"})
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// A server that ends answers who waits, in good order.
func TestNobodyWaitsForAServerThatEnds(t *testing.T) {
	h := newHappening()
	h.do(cluster.SetMode{Mode: cluster.ModeOff})
	c, end := h.serve(t, &buffer{})
	answered := h.waiting(t, c)
	if err := end(); err != nil {
		t.Error(err)
	}
	if err := <-answered; !errors.Is(err, errNothing) {
		t.Errorf("%v, want an answer without events", err)
	}
}

// A receiver that takes nothing is a warning.
func TestStatusWarnsOfWebhooks(t *testing.T) {
	c, _ := newHappening().serve(t, &buffer{})
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, w := range s.Warnings {
		if strings.Contains(w.Text, "webhook") {
			found++
			if want := "webhook pager takes no events since 2026-01-02T03:04:05Z: no answer in time; 3 were given up"; w.Text != want {
				t.Errorf("%q, want %q", w.Text, want)
			}
		}
	}
	if found != 1 || len(s.Webhooks) != 2 {
		t.Errorf("%d warnings about %d webhooks", found, len(s.Webhooks))
	}
}
