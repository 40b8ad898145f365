package wiretap

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// verdict is what becomes of a message that was stopped.
type verdict int

const (
	onward verdict = iota
	cut
)

// Stop waits for one message and holds it until it is told what to do.
type Stop struct {
	procedure Procedure
	direction Direction
	met       bool // under the tap's lock
	reached   chan struct{}
	once      sync.Once
	verdict   chan verdict
}

// Arm stops the next message of a kind. Stops that wait for the same kind are
// met in the order in which they were armed.
func (t *Tap) Arm(p Procedure, d Direction) *Stop {
	s := &Stop{procedure: p, direction: d, reached: make(chan struct{}), verdict: make(chan verdict, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stops = append(t.stops, s)
	return s
}

// Reached is closed when the message has come: it is held from then on, and
// with it all that would follow it on its connection in its direction.
func (s *Stop) Reached() <-chan struct{} { return s.reached }

// Pass lets the message go on, now or when it comes.
func (s *Stop) Pass() { s.decide(onward) }

// Cut drops the message and ends its connection, now or when it comes.
func (s *Stop) Cut() { s.decide(cut) }

func (s *Stop) decide(v verdict) {
	s.once.Do(func() { s.verdict <- v })
}

func (s *Stop) String() string { return fmt.Sprintf("%v's %v", s.procedure, s.direction) }

// peerIsSelf says whether the other end of a unix connection is this process.
func peerIsSelf(raw syscall.RawConn) (bool, error) {
	var cred *unix.Ucred
	var asked error
	err := raw.Control(func(fd uintptr) { cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil {
		return false, err
	}
	if asked != nil {
		return false, fmt.Errorf("peer of the tapped socket: %w", asked)
	}
	return int(cred.Pid) == os.Getpid(), nil
}
