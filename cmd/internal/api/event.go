package api

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/cmd/internal/events"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Event is one thing that happened. Its kinds and severities are listed in
// docs/events.md.
type Event struct {
	// ID is the same at every member and for ever: index and number.
	ID       string            `json:"id"`
	Index    uint64            `json:"index"` // of the log's entry that did it
	Number   int               `json:"number"`
	Term     uint64            `json:"term"`
	At       Time              `json:"at"`       // by the leader's clock
	Kind     cluster.EventKind `json:"kind"`     // such as move-done
	Severity cluster.Severity  `json:"severity"` // info, warning or critical
	By       string            `json:"by"`       // the operator who asked for it, "" if none did
	Subjects []Subject         `json:"subjects"`
	Text     string            `json:"text"` // one sentence
}

// Subject is what an event is about.
type Subject struct {
	Kind cluster.SubjectKind `json:"kind"` // member, source, target, vm, move, decision or token
	ID   string              `json:"id"`
	Name string              `json:"name"` // "" if it has none besides its id
}

// EventOf makes the JSON of an event.
func EventOf(e cluster.Event) Event {
	out := Event{
		ID: e.Key(), Index: e.Index, Number: e.Number, Term: e.Term, At: timeOf(e.At), Kind: e.Kind, Severity: e.Severity,
		By: e.By.Name, Subjects: make([]Subject, len(e.Subjects)), Text: e.Text,
	}
	if out.By == "" {
		out.By = e.By.ID
	}
	for i, s := range e.Subjects {
		out.Subjects[i] = Subject{s.Kind, s.ID, s.Name}
	}
	return out
}

// EventsRequest asks a member what happened. A position is the index of an
// entry of the log and means the same at every member.
type EventsRequest struct {
	After        *uint64             `json:"after,omitempty"`         // from this position on
	SinceSeconds float64             `json:"since_seconds,omitempty"` // or from so long ago on
	Last         int                 `json:"last,omitempty"`          // or the newest so many, of which fewer may pass the filters
	Limit        int                 `json:"limit,omitempty"`         // about so many in one answer; 0: 500, at most 1000
	WaitSeconds  float64             `json:"wait_seconds,omitempty"`  // wait so long for the first one, at most 20
	Severity     cluster.Severity    `json:"severity,omitempty"`      // only so severe, or more
	Kinds        []cluster.EventKind `json:"kinds,omitempty"`         // only these
}

// EventPage is events, oldest first, as one member remembers them.
type EventPage struct {
	Head
	Member  string  `json:"member"`  // who remembers
	Through uint64  `json:"through"` // position after this answer: ask on with it as after
	More    bool    `json:"more"`    // there is more already
	Missing bool    `json:"missing"` // the member does not remember all that was asked for
	Items   []Event `json:"items"`
}

// Events is what the server needs of the member's memory of events.
type Events interface {
	After(ctx context.Context, index uint64, limit int) (events.Page, error)
	Since(ctx context.Context, t cluster.Time) (index uint64, complete bool)
	Last(n int) uint64
	Changed() <-chan struct{}
}

// Bounds of a request for events.
const (
	usualEvents = 500
	maxEvents   = 1000
	maxWait     = 20 * time.Second // within what the server and a proxy give an answer
	maxKinds    = 64
	maxWaiting  = 64 // requests that wait at once; more get their answer at once
	pastTime    = 10 * time.Second
)

func (req *EventsRequest) check() error {
	given := 0
	for _, yes := range []bool{req.After != nil, req.SinceSeconds != 0, req.Last != 0} {
		if yes {
			given++
		}
	}
	switch {
	case given > 1:
		return invalid("say one of after, since_seconds and last")
	case math.IsNaN(req.SinceSeconds) || req.SinceSeconds < 0 || req.SinceSeconds > maxPast.Seconds():
		return invalid("since_seconds is %v, must lie between 0 and %.0f", req.SinceSeconds, maxPast.Seconds())
	case req.Last < 0 || req.Last > events.Capacity:
		return invalid("last is %d, must lie between 0 and %d", req.Last, events.Capacity)
	case req.Limit < 0 || req.Limit > maxEvents:
		return invalid("limit is %d, must lie between 0 and %d", req.Limit, maxEvents)
	case math.IsNaN(req.WaitSeconds) || req.WaitSeconds < 0 || req.WaitSeconds > maxWait.Seconds():
		return invalid("wait_seconds is %v, must lie between 0 and %.0f", req.WaitSeconds, maxWait.Seconds())
	case req.Severity != "" && !req.Severity.Valid():
		return invalid("severity %.40q is none of %v", req.Severity, cluster.Severities())
	case len(req.Kinds) > maxKinds:
		return invalid("%d kinds, at most %d", len(req.Kinds), maxKinds)
	}
	for _, k := range req.Kinds {
		if !k.Valid() {
			return invalid("%.40q is no kind of event; docs/events.md lists them", k)
		}
	}
	return nil
}

func (req *EventsRequest) wants(e cluster.Event) bool {
	return (req.Severity == "" || e.Severity.AtLeast(req.Severity)) && (len(req.Kinds) == 0 || slices.Contains(req.Kinds, e.Kind))
}

// events answers from this member's memory. A member that has no seat in the
// Raft group applies nothing and asks the leader.
func (s *Server) events(ctx context.Context, who caller, req *EventsRequest) (*EventPage, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	wait := time.Duration(req.WaitSeconds * float64(time.Second))
	h := s.cfg.Replica.Health()
	if (h.Part == seatAgent || s.cfg.Events == nil) && !who.forwarded {
		ctx, cancel := context.WithTimeout(ctx, wait+pastTime)
		defer cancel()
		page, err := forward[EventsRequest, EventPage](ctx, s, who, "Events", req, consensus.ErrNotLeader)
		if connect.CodeOf(err) == connect.CodeAborted { // a leader that is lost meanwhile leaves no doubt about a read
			err = connect.NewError(connect.CodeUnavailable, errors.New(message(err)))
		}
		return page, err
	}
	if s.cfg.Events == nil {
		return nil, invalid("%s keeps no memory of events", s.cfg.Name)
	}
	var stale *Stale
	if h.Leader == "" {
		stale = s.staleBecause(consensus.ErrNoLeader.Error())
	}
	return s.gatherEvents(ctx, who, stale, req, wait)
}

// gatherEvents waits until there is an event that is wanted, or the time is up.
func (s *Server) gatherEvents(ctx context.Context, who caller, stale *Stale, req *EventsRequest, wait time.Duration) (*EventPage, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+pastTime)
	defer cancel()
	end := make(<-chan time.Time)
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
		t := time.NewTimer(wait)
		defer t.Stop()
		end = t.C
	default:
		wait = 0
	}
	at, complete := s.position(ctx, req)
	out := &EventPage{Member: s.cfg.Name, Through: at, Missing: !complete, Items: []Event{}}
	limit := req.Limit
	if limit == 0 {
		limit = usualEvents
	}
	for {
		changed := s.cfg.Events.Changed()
		page, err := s.cfg.Events.After(ctx, out.Through, limit)
		if err != nil {
			return nil, answer(err)
		}
		out.Through, out.More, out.Missing = page.Through, page.More, out.Missing || page.Missing
		for _, e := range page.Events {
			if req.wants(e) {
				out.Items = append(out.Items, EventOf(e))
			}
		}
		if len(out.Items) > 0 || page.More || wait == 0 {
			break
		}
		select {
		case <-changed:
			continue
		case <-end:
		case <-s.quit:
		case <-ctx.Done():
		}
		break
	}
	out.Head = s.look(who, stale).head("EventPage")
	return out, nil
}

// position is where a request begins.
func (s *Server) position(ctx context.Context, req *EventsRequest) (index uint64, complete bool) {
	switch {
	case req.After != nil:
		return *req.After, true
	case req.SinceSeconds > 0:
		return s.cfg.Events.Since(ctx, cluster.TimeOf(s.cfg.Now().Add(-time.Duration(req.SinceSeconds*float64(time.Second)))))
	}
	return s.cfg.Events.Last(req.Last), true
}

// Events asks what happened.
func (c *Client) Events(ctx context.Context, req EventsRequest) (*EventPage, error) {
	return call[EventsRequest, EventPage](ctx, c, "Events", &req)
}

// Notice is the body of a webhook's request. Its id is the same each time that
// the event is delivered: what has been seen is to be passed over.
type Notice struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`    // Notice
	Cluster    string `json:"cluster"` // UUID
	ID         string `json:"id"`      // cluster, index and number; also in the header webhook-id
	Event      Event  `json:"event"`
}

// Webhook is how deliveries to one receiver go, as the leader counts since its
// start.
type Webhook struct {
	Name         string `json:"name"`
	Receiver     string `json:"receiver"`      // scheme and host of its URL
	Active       bool   `json:"active"`        // this member leads and delivers
	Delivered    uint64 `json:"delivered"`     // events
	Failed       uint64 `json:"failed"`        // attempts
	Dropped      uint64 `json:"dropped"`       // events that were given up
	Gaps         uint64 `json:"gaps"`          // stretches of the log whose events nobody remembered
	Through      uint64 `json:"through"`       // position: all up to this index is settled
	DeliveredAt  Time   `json:"delivered_at"`  // the last one, null for none
	FailingSince Time   `json:"failing_since"` // null if the last attempt did not fail
	Error        string `json:"error"`         // of the last attempt, "" if it did not fail
}

// warnWebhooks names receivers that do not take their events.
func (out *Status) warnWebhooks() {
	for _, w := range out.Webhooks {
		if w.Active && !w.FailingSince.IsZero() {
			out.warning(Caution, "evenkeel status --json", "webhook %s takes no events since %s: %s; %d were given up", w.Name, w.FailingSince.Format(time.RFC3339), w.Error, w.Dropped)
		}
	}
}
