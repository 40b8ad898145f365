package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// UplinkConfig is what an Uplink needs.
type UplinkConfig struct {
	Client *Client
	Peers  []string // addresses at which members are looked for
	// Leader is what this process's own Node knows; nil if it is no member.
	Leader func() (member, addr string, ok bool)
	// Meet lists more addresses, as they become known; nil: there are none.
	Meet func() []string
	// Take is given the tickets of the leader whose stream is up; nil drops them.
	Take   func(consensus.Ticket) error
	Logger *slog.Logger
}

// Uplink is an agent's way to the leader, whoever that is.
type Uplink struct {
	cfg   UplinkConfig
	log   *slog.Logger
	route route
	views chan cluster.View
	wake  chan struct{}

	mu      sync.Mutex
	pending *cluster.Snapshot
	leader  string // address of the leader whose stream is up, "" if none
}

// NewUplink makes an Uplink; Run keeps its stream.
func NewUplink(cfg UplinkConfig) *Uplink {
	return &Uplink{
		cfg: cfg, log: cfg.Logger, route: route{peers: cfg.Peers, own: cfg.Leader, more: cfg.Meet},
		views: make(chan cluster.View, 1), wake: make(chan struct{}, 1),
	}
}

// Publish hands a load snapshot over. It never blocks: a newer one takes the
// place of one that was not sent yet. One that was sent may still be lost with
// the leader; the views say what was committed.
func (u *Uplink) Publish(s cluster.Snapshot) {
	u.mu.Lock()
	if u.pending != nil {
		s = supersede(*u.pending, s)
	}
	u.pending = &s
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// next writes down what is to be sent; a snapshot that has no form is dropped,
// with nothing but a sign of life in its place.
func (u *Uplink) next() *attachUp {
	u.mu.Lock()
	s := u.pending
	u.pending = nil
	u.mu.Unlock()
	if s == nil {
		return &attachUp{}
	}
	d, err := cluster.NewDigest(*s)
	if err != nil {
		u.log.Error("a load snapshot cannot be sent", "err", err)
		return &attachUp{}
	}
	return &attachUp{d.Bytes()}
}

// Views yields the newest view of the State that the leader sent: at every
// change of what concerns this host, and every second. Silence means that
// there is no leader. It has one reader.
func (u *Uplink) Views() <-chan cluster.View { return u.views }

// Connected returns the address of the leader that the stream is attached to.
func (u *Uplink) Connected() (addr string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.leader, u.leader != ""
}

func (u *Uplink) setLeader(addr string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.leader = addr
}

// Pauses between attempts, doubled each time and jittered so that a thousand
// agents do not come back in step.
const (
	minPause    = 50 * time.Millisecond
	maxPause    = time.Second
	keepAlive   = 5 * time.Second
	viewSilence = 3*viewBeat + 500*time.Millisecond
)

// Run keeps a stream to the leader until ctx ends.
func (u *Uplink) Run(ctx context.Context) {
	pause, told := minPause, false
	for ctx.Err() == nil {
		addr := u.route.target()
		began := time.Now()
		attached, err := u.stream(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		u.route.failed(addr, err)
		if attached {
			u.log.Warn("the leader's stream ended", "leader", addr, "err", err)
			told = false
			if time.Since(began) > maxPause { // else it would end again at once
				pause = minPause
			}
		} else if pause == maxPause && !told {
			u.log.Warn("no leader found yet", "tried", addr, "err", err)
			told = true
		}
		sleep(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, maxPause)
	}
}

var errSilent = errors.New("the leader is silent")

// stream attaches to a member and says whether that one led.
func (u *Uplink) stream(ctx context.Context, addr string) (attached bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if addr == "" {
		return false, errors.New("no member's address is known")
	}
	watchdog := time.AfterFunc(viewSilence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	var end farEnd
	s, err := u.cfg.Client.attach(end.watch(ctx), addr)
	if err != nil {
		return false, err
	}
	var receiver sync.WaitGroup
	receiver.Go(func() {
		for {
			down, err := s.Receive()
			if err != nil {
				cancel(err)
				return
			}
			if err := u.take(addr, &end, down.Ticket); err != nil {
				cancel(err)
				return
			}
			watchdog.Reset(viewSilence)
			attached = true
			u.attached(addr)
			u.deliver(down.View)
		}
	})
	// Where the member ended the stream, sending says EOF and receiving says why.
	if err = u.send(ctx, s); !errors.Is(err, io.EOF) {
		cancel(err)
	}
	receiver.Wait()
	u.setLeader("")
	return attached, context.Cause(ctx)
}

func (u *Uplink) attached(addr string) {
	if now, _ := u.Connected(); now != addr {
		u.log.Info("attached to the leader", "leader", addr)
		u.setLeader(addr)
		u.route.found(addr)
	}
}

// deliver replaces what the reader has not taken yet.
func (u *Uplink) deliver(v cluster.View) {
	select {
	case <-u.views:
	default:
	}
	u.views <- v // one writer: there is room
}

type sender interface{ Send(*attachUp) error }

// send sends snapshots as they come, and signs of life between them.
func (u *Uplink) send(ctx context.Context, s sender) error {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		if err := s.Send(u.next()); err != nil {
			return err
		}
		select {
		case <-u.wake:
		case <-alive.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
