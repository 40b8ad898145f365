package libvirt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/evenkeel/evenkeel/agent"
)

// Waits between attempts to reach a daemon that is down.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// dialer finds the daemon's socket and keeps callers from hammering a daemon
// that is down: within the backoff they get the last error at once.
type dialer struct {
	sockets []string // tried in this order

	mu        sync.Mutex
	failures  int
	notBefore time.Time
	lastErr   error
	last      string // the socket that answered last
}

// Sockets are where libvirt may answer on this host, the best first: one given
// socket, or the modular QEMU daemon's before the monolithic daemon's (which
// may also be virtproxyd's).
func Sockets(socket string) []string { return socketsIn(socket, defaultRunDir) }

func socketsIn(socket, runDir string) []string {
	if socket != "" {
		return []string{socket}
	}
	return []string{
		filepath.Join(runDir, "virtqemud-sock"),
		filepath.Join(runDir, "libvirt-sock"),
	}
}

func newDialer(socket, runDir string) *dialer {
	return &dialer{sockets: socketsIn(socket, runDir)}
}

func (d *dialer) dial(ctx context.Context) (*conn, error) {
	if err := d.held(time.Now()); err != nil {
		return nil, err
	}
	var errs []error
	for _, path := range d.sockets {
		c, err := dialConn(ctx, path, qemuURI)
		if err == nil {
			d.succeeded(path)
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", agent.ErrDisconnected, err) // says nothing about the daemon's health
		}
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	d.failed(time.Now(), err)
	return nil, fmt.Errorf("%w: %w", agent.ErrDisconnected, err)
}

func (d *dialer) held(now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Before(d.notBefore) {
		return fmt.Errorf("%w: next attempt in %s; the last one: %w",
			agent.ErrDisconnected, d.notBefore.Sub(now).Round(time.Millisecond), d.lastErr)
	}
	return nil
}

func (d *dialer) failed(now time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastErr = err
	d.notBefore = now.Add(backoff(d.failures))
	d.failures++
}

func (d *dialer) succeeded(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failures, d.notBefore, d.lastErr, d.last = 0, time.Time{}, nil, path
}

// socket is the one that answered last, or the first that would be tried.
func (d *dialer) socket() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != "" {
		return d.last
	}
	return d.sockets[0]
}

// backoff doubles with each failure in a row.
func backoff(failures int) time.Duration {
	return min(lastBackoff, firstBackoff<<min(failures, 10))
}

// dialFresh makes a connection that is not the pool's, within limit.
func (d *dialer) dialFresh(ctx context.Context, limit time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return d.dial(ctx)
}
