package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// request is what the daemon asks of its relay; one a connection.
type request struct {
	Do      action  `json:"do"`
	Passage Passage `json:"passage"`
}

type action string

const (
	doReceive action = "receive"
	doSend    action = "send"
	doEnd     action = "end"
	doList    action = "list"
)

type answer struct {
	Error    string    `json:"error,omitempty"`
	Route    Route     `json:"route"`
	Passages []Passage `json:"passages,omitempty"`
}

const controlTimeout = 5 * time.Second

// listenControl opens the control socket for this process' user alone.
func listenControl(path string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%s: a relay answers there already", path)
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// obey answers one request of the daemon.
func (s *Server) obey(conn net.Conn) {
	defer conn.Close()
	defer s.known(conn)
	err := conn.SetDeadline(time.Now().Add(controlTimeout))
	var req request
	if err == nil {
		err = readMessage(conn, &req)
	}
	if err == nil {
		err = writeMessage(conn, s.do(req))
	}
	if err != nil && !errors.Is(err, io.EOF) { // somebody looked whether it answers
		s.cfg.Logger.Warn("control", "err", err)
	}
}

func (s *Server) do(req request) (a answer) {
	var err error
	switch req.Do {
	case doReceive:
		err = s.Receive(req.Passage)
	case doSend:
		a.Route, err = s.Send(req.Passage)
	case doEnd:
		s.end(req.Passage.Move, "the move is over")
	case doList:
		a.Passages = s.list()
	default:
		err = fmt.Errorf("%.40q is nothing that a relay does", req.Do)
	}
	if err != nil {
		a.Error = clip(err.Error(), 1024)
	}
	return a
}

// list tells of all passages, by move.
func (s *Server) list() []Passage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Passage
	for _, p := range s.passages {
		all = append(all, p.view())
	}
	slices.SortFunc(all, func(a, b Passage) int { return strings.Compare(a.Move, b.Move) })
	return all
}

// Control is the daemon's side of the control socket.
type Control struct{ Socket string }

// Receive asks the relay to let a member in for a move, as its target.
func (c Control) Receive(ctx context.Context, p Passage) error {
	_, err := c.ask(ctx, request{doReceive, p})
	return err
}

// Send asks the relay for a way to a move's target.
func (c Control) Send(ctx context.Context, p Passage) (Route, error) {
	a, err := c.ask(ctx, request{doSend, p})
	return a.Route, err
}

// End ends a passage, if it is there.
func (c Control) End(ctx context.Context, move string) error {
	_, err := c.ask(ctx, request{Do: doEnd, Passage: Passage{Move: move}})
	return err
}

// List tells of the passages.
func (c Control) List(ctx context.Context) ([]Passage, error) {
	a, err := c.ask(ctx, request{Do: doList})
	return a.Passages, err
}

func (c Control) ask(ctx context.Context, req request) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return a, fmt.Errorf("relay: %w; is evenkeel-relay.service running?", err)
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return a, fmt.Errorf("relay: %w", err)
	}
	if err := writeMessage(conn, req); err != nil {
		return a, fmt.Errorf("relay: %w", err)
	}
	if err := readMessage(conn, &a); err != nil {
		return a, fmt.Errorf("relay: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("relay: %.1024s", a.Error)
	}
	return a, nil
}
