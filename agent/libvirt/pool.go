package libvirt

import (
	"context"
	"fmt"
	"sync"

	"github.com/evenkeel/evenkeel/agent"
)

// maxCalls bounds the control calls in flight (the daemon has 20 workers by
// default), maxIdle the connections kept for the next ones.
const (
	maxCalls = 16
	maxIdle  = 4
)

// pool lends connections for control calls, one call to a connection: a call
// that a hung QEMU holds up blocks no other, and dies alone.
type pool struct {
	dialer *dialer
	calls  chan struct{}

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(d *dialer) *pool {
	return &pool{dialer: d, calls: make(chan struct{}, maxCalls)}
}

// get lends a connection; put gives it back.
func (p *pool) get(ctx context.Context) (*conn, error) {
	select {
	case p.calls <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for one of %d calls to end: %w", maxCalls, context.Cause(ctx))
	}
	for c := p.pop(); c != nil; c = p.pop() {
		if c.usable() {
			return c, nil
		}
		c.close()
	}
	c, err := p.dialer.dial(ctx)
	if err != nil {
		<-p.calls
		return nil, err
	}
	return c, nil
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

func (p *pool) put(c *conn) {
	defer func() { <-p.calls }()
	if c.usable() && p.keep(c) {
		return
	}
	c.close()
}

func (p *pool) keep(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

// close ends the idle connections; those on loan end when they are put back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// errClosed is what calls answer once the Host was closed.
var errClosed = fmt.Errorf("%w: closed", agent.ErrDisconnected)
