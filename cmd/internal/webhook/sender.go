package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// maxPause bounds what a receiver may ask for with Retry-After.
const maxPause = 5 * time.Minute

// pageSize is how many events are looked at in one go.
const pageSize = 64

// sender delivers to one receiver.
type sender struct {
	cfg    *Config
	hook   config.Webhook
	log    *slog.Logger
	client *http.Client // nil until it is first needed, and after an error of its files

	failures int // attempts in a row that failed
	told     time.Time

	mu    sync.Mutex
	stats api.Webhook
	moved bool // something was delivered or given up since the position was recorded
}

func newSender(cfg *Config, hook config.Webhook) *sender {
	s := &sender{cfg: cfg, hook: hook, log: cfg.Logger.With("webhook", hook.Name)}
	s.stats.Name = hook.Name
	if u, err := url.Parse(hook.URL); err == nil {
		s.stats.Receiver = u.Scheme + "://" + u.Host
	}
	return s
}

// run delivers until ctx ends, from a position on.
func (s *sender) run(ctx context.Context, at uint64) {
	defer s.note(func(st *api.Webhook) { st.Active = false })
	defer s.forget()
	for ctx.Err() == nil {
		changed := s.cfg.Events.Changed()
		page, err := s.cfg.Events.After(ctx, at, pageSize)
		if err != nil {
			s.fail("the member's memory of events cannot be read", err)
			s.rest(ctx, s.pause(0))
			continue
		}
		if page.Missing {
			s.note(func(st *api.Webhook) { st.Gaps++ })
			s.log.Warn("events are not remembered here and were not delivered", "after", page.After, "through", page.Through)
		}
		if !s.deliverAll(ctx, page.Events) {
			return
		}
		at = page.Through
		s.note(func(st *api.Webhook) { st.Through = at })
		if page.More {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-time.After(s.cfg.Timing.Idle): // the position moves on without events, too
		}
	}
}

// deliverAll says whether all of a page was delivered, filtered out or given up.
func (s *sender) deliverAll(ctx context.Context, list []cluster.Event) bool {
	for i, e := range list {
		if s.wants(e) && !s.deliver(ctx, e) {
			return false
		}
		if last := i+1 == len(list) || list[i+1].Index != e.Index; last {
			s.note(func(st *api.Webhook) { st.Through = e.Index })
		}
	}
	return true
}

func (s *sender) wants(e cluster.Event) bool {
	return e.Severity.AtLeast(s.hook.Severity) && (len(s.hook.Kinds) == 0 || slices.Contains(s.hook.Kinds, e.Kind))
}

// deliver tries until the receiver takes the event or it is too old, but once
// at least; it returns false if ctx ended before.
func (s *sender) deliver(ctx context.Context, e cluster.Event) bool {
	id := s.cfg.Cluster + "-" + e.Key()
	body, err := json.Marshal(api.Notice{APIVersion: api.Version, Kind: "Notice", Cluster: s.cfg.Cluster, ID: id, Event: api.EventOf(e)})
	if err != nil {
		panic(err) // strings and numbers only
	}
	var asked time.Duration
	for {
		if s.failures > 0 && !s.rest(ctx, s.pause(asked)) {
			return false
		}
		err := s.attempt(ctx, id, body)
		if err == nil {
			s.succeed()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.failures++
		s.fail("an event could not be delivered", err)
		var refused *errRefused
		if asked = 0; errors.As(err, &refused) {
			asked = refused.after
		}
		if s.cfg.Now().Sub(e.At.Std()) >= s.hook.GiveUpAfter {
			s.drop(e)
			return true
		}
	}
}

func (s *sender) attempt(ctx context.Context, id string, body []byte) error {
	if s.client == nil {
		client, err := newClient(s.hook, s.cfg.Timing.Answer)
		if err != nil {
			return err
		}
		s.client = client
	}
	return post(ctx, s.client, s.hook, "evenkeel/"+s.cfg.Version, id, body, s.cfg.Now())
}

// forget ends the connection to the receiver; the CA's file is read again.
func (s *sender) forget() {
	if s.client != nil {
		s.client.CloseIdleConnections()
		s.client = nil
	}
}

// pause is how long to wait after so many failures: doubled each time, within
// bounds, and anywhere in the upper half, so that receivers that fail together
// are not tried together.
func (s *sender) pause(asked time.Duration) time.Duration {
	t := s.cfg.Timing
	p := t.MaxPause
	if n := max(s.failures-1, 0); n < 16 {
		p = min(t.Pause<<n, t.MaxPause)
	}
	return max(p/2+rand.N(p/2+1), asked)
}

// rest waits, and returns false if ctx ended.
func (s *sender) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sender) succeed() {
	if s.failures > 0 {
		s.log.Info("the receiver takes events again", "after_attempts", s.failures)
	}
	s.failures = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Delivered++
	s.stats.DeliveredAt = api.Time{Time: s.cfg.Now().UTC()}
	s.stats.Error, s.stats.FailingSince = "", api.Time{}
	s.moved = true
}

// fail counts a failure; the first of a row is logged.
func (s *sender) fail(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.FailingSince.IsZero() {
		s.stats.FailingSince = api.Time{Time: s.cfg.Now().UTC()}
		s.log.Warn(what+"; it is tried again until it is too old", "receiver", s.stats.Receiver, "err", err)
	}
	s.stats.Failed++
	s.stats.Error = err.Error()
}

// drop gives an event up. A dead receiver drops many: one a minute is logged.
func (s *sender) drop(e cluster.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Dropped++
	s.moved = true
	if now := s.cfg.Now(); now.Sub(s.told) >= time.Minute {
		s.told = now
		s.log.Warn("an event was given up", "event", e.Key(), "kind", e.Kind, "dropped", s.stats.Dropped, "err", s.stats.Error)
	}
}

func (s *sender) note(change func(*api.Webhook)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// position is how far it got, and whether that is worth recording soon.
func (s *sender) position() (through uint64, moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Through, s.moved
}

// recorded notes that a position is safe.
func (s *sender) recorded(through uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.Through == through {
		s.moved = false
	}
}
