package wiretap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
)

// moved is added to the name of libvirtd's own socket.
const moved = ".tapped"

// Tap listens in the place of a libvirtd's socket.
type Tap struct {
	path     string
	listener *net.UnixListener
	work     sync.WaitGroup

	mu     sync.Mutex
	stops  []*Stop
	conns  map[net.Conn]struct{}
	closed bool
}

// Open takes the place of the socket at a path. A libvirtd that is started
// later takes it back, and the tap hears of nobody any more.
func Open(path string) (*Tap, error) {
	if err := os.Rename(path, path+moved); err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tap %s: %w", path, err), os.Rename(path+moved, path))
	}
	l.SetUnlinkOnClose(false) // by then it may be another one's
	t := &Tap{path: path, listener: l, conns: map[net.Conn]struct{}{}}
	t.work.Go(t.serve)
	return t, nil
}

// Close puts libvirtd's socket back, unless libvirtd has made a new one, and
// ends every connection that came through the tap.
func (t *Tap) Close() error {
	own, ownErr := t.listens()
	err := t.listener.Close()
	t.mu.Lock()
	t.closed = true
	for _, s := range t.stops {
		s.decide(cut)
	}
	for c := range t.conns {
		c.Close()
	}
	t.mu.Unlock()
	t.work.Wait()
	if own {
		return errors.Join(err, ownErr, os.Rename(t.path+moved, t.path))
	}
	return errors.Join(err, ownErr, os.Remove(t.path+moved))
}

// listens says whether the socket at the path is still the tap's: a new
// libvirtd would have made another one. Connections tell: the tap counts its own.
func (t *Tap) listens() (bool, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: t.path, Net: "unix"})
	if err != nil {
		return false, nil // a dead libvirtd's
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	return peerIsSelf(raw)
}

func (t *Tap) serve() {
	for {
		c, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.work.Go(func() { t.join(c) })
	}
}

// join carries one caller's messages to libvirtd, and its answers back.
func (t *Tap) join(caller net.Conn) {
	defer caller.Close()
	daemon, err := (&net.Dialer{}).DialContext(context.Background(), "unix", t.path+moved)
	if err != nil {
		return // as if it were not tapped: the caller sees it end
	}
	defer daemon.Close()
	if !t.enter(caller, daemon) {
		return
	}
	defer t.leave(caller, daemon)
	var both sync.WaitGroup
	both.Go(func() { t.carry(daemon, caller); caller.Close(); daemon.Close() })
	both.Go(func() { t.carry(caller, daemon); caller.Close(); daemon.Close() })
	both.Wait()
}

// carry passes whole messages on until one side ends or one is cut.
func (t *Tap) carry(to io.Writer, from io.Reader) {
	for {
		f, err := readFrame(from)
		if err != nil {
			return
		}
		if t.pass(f) == cut {
			return
		}
		if _, err := to.Write(f); err != nil {
			return
		}
	}
}

// pass holds a message if a stop waits for it, and says what becomes of it.
func (t *Tap) pass(f frame) verdict {
	t.mu.Lock()
	var hit *Stop
	if i := slices.IndexFunc(t.stops, func(s *Stop) bool { return !s.met && f.is(s.procedure, s.direction) }); i >= 0 {
		hit = t.stops[i]
		hit.met = true
	}
	t.mu.Unlock()
	if hit == nil {
		return onward
	}
	close(hit.reached)
	return <-hit.verdict
}

func (t *Tap) enter(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		if !t.closed {
			t.conns[c] = struct{}{}
		}
	}
	return !t.closed
}

func (t *Tap) leave(conns ...net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		delete(t.conns, c)
	}
}
