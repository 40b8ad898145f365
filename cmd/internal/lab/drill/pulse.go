package drill

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/heartbeat"
)

// Pulse listens to the heartbeats of all guests.
type Pulse struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error

	mu    sync.Mutex
	beats map[string][]heartbeat.Arrival
}

// Listen begins to follow the guests' serial logs; Stop ends it.
func (d *Drill) Listen() *Pulse {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pulse{cancel: cancel, done: make(chan struct{}), beats: map[string][]heartbeat.Arrival{}}
	var guests []string
	for _, g := range d.Lab.Guests() {
		guests = append(guests, g.Name)
	}
	go func() {
		defer close(p.done)
		p.err = d.Lab.Follow(ctx, guests, func(guest string, a heartbeat.Arrival) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.beats[guest] = append(p.beats[guest], a)
			return nil
		})
	}()
	return p
}

// Stop ends the listening; a malformed heartbeat is an error.
func (p *Pulse) Stop() error {
	p.cancel()
	<-p.done
	return p.err
}

// Report is what the beats since an instant prove of a guest.
type Report struct {
	heartbeat.Report
	ArrivalGap time.Duration // longest, between two beats on the host's clock
}

// Since judges a guest's beats that arrived after an instant.
func (p *Pulse) Since(guest string, from time.Time) Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	var beats []heartbeat.Heartbeat
	var r Report
	var last time.Time
	for _, a := range p.beats[guest] {
		if a.At.Before(from) {
			continue
		}
		if !last.IsZero() {
			r.ArrivalGap = max(r.ArrivalGap, a.At.Sub(last))
		}
		last = a.At
		beats = append(beats, a.Heartbeat)
	}
	r.Report = heartbeat.Judge(beats)
	return r
}

// Unbroken says what is wrong with a row of heartbeats, or nil: one boot,
// every number once, and no gap longer than one given, by either clock.
func (r Report) Unbroken(longest time.Duration) error {
	if r.Beats < 2 || !r.Report.Unbroken(longest) || r.ArrivalGap > longest {
		return fmt.Errorf("%d beats, %d boots, %d missing, %d out of order, longest gap %v by the guest's clock and %v by ours",
			r.Beats, r.Boots, r.Missing, r.Disordered, r.LongestGap, r.ArrivalGap.Round(time.Millisecond))
	}
	return nil
}
