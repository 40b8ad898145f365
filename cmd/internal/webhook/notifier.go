package webhook

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/events"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Events is what is needed of the member's memory of events.
type Events interface {
	After(ctx context.Context, index uint64, limit int) (events.Page, error)
	Changed() <-chan struct{}
	Through() uint64
}

// Replica is what is needed of consensus.Node.
type Replica interface {
	State() (cluster.State, uint64)
	Propose(ctx context.Context, c cluster.Command) (index uint64, err error)
}

// Config is what a Notifier needs.
type Config struct {
	Webhooks []config.Webhook
	Events   Events
	Replica  Replica
	Self     cluster.Actor // the leading member
	Cluster  string        // UUID
	Version  string        // of the binary
	Now      func() time.Time
	Logger   *slog.Logger
	Timing   Timing // its zero value means the defaults
}

// Timing are the durations of deliveries.
type Timing struct {
	Answer   time.Duration // within which a receiver must answer; default 10 s
	Pause    time.Duration // after the first failure; default 1 s, doubled up to MaxPause
	MaxPause time.Duration // default 1 min
	Record   time.Duration // between records of the position while events flow; default 5 s
	Idle     time.Duration // the same while none do; default 2 min
}

func (t Timing) withDefaults() Timing {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{
		{&t.Answer, 10 * time.Second},
		{&t.Pause, time.Second},
		{&t.MaxPause, time.Minute},
		{&t.Record, 5 * time.Second},
		{&t.Idle, 2 * time.Minute},
	} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return t
}

// recordTime bounds one record of positions; lastTime the one when leadership
// ends, which holds up the daemon's stop.
const (
	recordTime = 5 * time.Second
	lastTime   = time.Second
)

// Notifier delivers to all receivers.
type Notifier struct {
	cfg     Config
	senders []*sender
}

// New makes a notifier; nothing is opened yet.
func New(cfg Config) *Notifier {
	cfg.Timing = cfg.Timing.withDefaults()
	n := &Notifier{cfg: cfg}
	for _, w := range cfg.Webhooks {
		n.senders = append(n.senders, newSender(&n.cfg, w))
	}
	return n
}

// Run delivers until ctx ends: while this member leads. It waits for all that
// it started. Without webhooks it returns at once.
func (n *Notifier) Run(ctx context.Context) {
	if len(n.senders) == 0 {
		return
	}
	var wg sync.WaitGroup
	state, _ := n.cfg.Replica.State()
	for _, s := range n.senders {
		at, known := state.Delivered(s.hook.Name)
		if now := n.cfg.Events.Through(); !known || at > now {
			at = now // a new receiver hears of what happens from now on
		}
		s.note(func(st *api.Webhook) { st.Active, st.Through = true, at }) // before anybody records it
		wg.Go(func() { s.run(ctx, at) })
	}
	n.record(ctx)
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	n.propose(last, true)
}

// record keeps the positions in the State until ctx ends: soon after something
// was delivered, else now and then.
func (n *Notifier) record(ctx context.Context) {
	ticker := time.NewTicker(n.cfg.Timing.Record)
	defer ticker.Stop()
	var last time.Time
	for {
		idle := time.Since(last) >= n.cfg.Timing.Idle
		once, cancel := context.WithTimeout(ctx, recordTime)
		if n.propose(once, idle) {
			last = time.Now()
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// propose records the positions that moved; with all, also those that only
// passed over events that nobody wanted. It returns false if that failed.
func (n *Notifier) propose(ctx context.Context, all bool) bool {
	state, _ := n.cfg.Replica.State()
	body := cluster.Deliver{}
	var moved []*sender
	for _, s := range n.senders {
		through, news := s.position()
		was, known := state.Delivered(s.hook.Name)
		if through > was && (news || all) || !known {
			body.Deliveries = append(body.Deliveries, cluster.Delivery{Webhook: s.hook.Name, Through: through})
			moved = append(moved, s)
		}
	}
	if len(moved) == 0 {
		return all
	}
	if _, err := n.cfg.Replica.Propose(ctx, cluster.Command{Actor: n.cfg.Self, Body: body}); err != nil {
		n.cfg.Logger.Debug("how far events were delivered was not recorded: some may be delivered again", "err", err)
		return false
	}
	for i, s := range moved {
		s.recorded(body.Deliveries[i].Through)
	}
	return true
}

// Webhooks tells how the deliveries of this member go, since its start.
func (n *Notifier) Webhooks() []api.Webhook {
	out := make([]api.Webhook, len(n.senders))
	for i, s := range n.senders {
		s.mu.Lock()
		out[i] = s.stats
		s.mu.Unlock()
	}
	return out
}
