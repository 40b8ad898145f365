package relay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Passage is one move's way through a relay.
type Passage struct {
	Move    string    `json:"move"`
	VM      string    `json:"vm"`                // UUID
	Peer    string    `json:"peer"`              // member id of the other end
	Address string    `json:"address,omitempty"` // the other end's relay; empty at the target
	Began   time.Time `json:"began"`
	Open    int       `json:"open"`  // channels that are open now
	Bytes   int64     `json:"bytes"` // passed on so far, both ways
}

// passage is a Passage with what it holds open.
type passage struct {
	Passage
	dir string

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	conns     map[net.Conn]struct{}
	idle      time.Time // since when no channel is open
	work      sync.WaitGroup
}

func newPassage(p Passage, dir string) *passage {
	return &passage{Passage: p, dir: filepath.Join(dir, p.Move), conns: make(map[net.Conn]struct{}), idle: p.Began}
}

func (p Passage) check() error {
	if !moveID.MatchString(p.Move) {
		return fmt.Errorf("%.40q is no move id", p.Move)
	}
	if err := errors.Join(checkUUID("VM", p.VM), checkUUID("peer", p.Peer)); err != nil {
		return err
	}
	if p.Address != "" {
		if _, _, err := net.SplitHostPort(p.Address); err != nil || len(p.Address) > 300 {
			return fmt.Errorf("address %.80q: want host:port", p.Address)
		}
	}
	return nil
}

// same says whether a second request asks for what is there.
func (p Passage) same(q Passage) bool {
	return p.Move == q.Move && p.VM == q.VM && p.Peer == q.Peer && p.Address == q.Address
}

func (p *passage) socket(c Channel) string { return filepath.Join(p.dir, c.socketName()) }

// makeDir makes the passage's directory anew, for QEMU's user.
func (p *passage) makeDir(o Owner) error {
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return err
	}
	return o.give(p.dir)
}

// listen opens a channel's socket at the source.
func (p *passage) listen(c Channel, o Owner) (net.Listener, error) {
	l, err := net.Listen("unix", p.socket(c))
	if err != nil {
		return nil, err
	}
	if err := o.give(p.socket(c)); err != nil {
		l.Close()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners = append(p.listeners, l)
	return l, nil
}

// maxChannels bounds a passage's open connections: one to libvirt, and QEMU's:
// the memory's, which are 17 at most, and one for each disk.
const maxChannels = 96

// enter takes a connection in; false means that the passage is over or full.
func (p *passage) enter(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.conns)+len(conns) > 2*maxChannels {
		return false
	}
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

func (p *passage) leave(now time.Time, conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
	if len(p.conns) == 0 {
		p.idle = now
	}
}

func (p *passage) count(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Bytes += n
}

// view is the passage as it is told.
func (p *passage) view() Passage {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.Passage
	v.Open = len(p.conns) / 2
	return v
}

// idleFor is how long no channel has been open.
func (p *passage) idleFor(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) > 0 {
		return 0
	}
	return now.Sub(p.idle)
}

// close ends every channel and removes the sockets.
func (p *passage) close() error {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.listeners {
		l.Close()
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
	return os.RemoveAll(p.dir)
}
