package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

type controllerKey struct{}

// withController lets a handler set deadlines on its stream: only so can it
// end a wait for the agent's next message.
func withController(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), controllerKey{}, http.NewResponseController(w))
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// streams knows the attached agents: one stream each, the newest.
type streams struct {
	mu  sync.Mutex
	end map[string]*context.CancelCauseFunc
}

// errReplaced reaches an agent whose connection is alive only if somebody else
// has its id: its own older connections are dead.
var errReplaced = errors.New("another process attached as this member; if that goes on, two machines use one id: give one of them a certificate of its own")

func (s *streams) enter(member string, end context.CancelCauseFunc) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = make(map[string]*context.CancelCauseFunc)
	}
	if old := s.end[member]; old != nil {
		(*old)(errReplaced)
	}
	mine := &end
	s.end[member] = mine
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.end[member] == mine {
			delete(s.end, member)
		}
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.end)
}

type attachStream = connect.BidiStream[attachUp, attachDown]

// attach is an agent's stream: its snapshots up, its view of the State down.
// It ends with the agent, with the leadership, or with silence.
func (s *Server) attach(ctx context.Context, stream *attachStream) error {
	node, err := s.ready()
	if err != nil {
		return err
	}
	id := caller(ctx)
	if !isMember(id) {
		return connect.NewError(connect.CodePermissionDenied, errors.New("only agents and witnesses attach"))
	}
	now := s.session.Load()
	if now == nil {
		return redirect(node)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer s.streams.enter(id.MemberID, cancel)()
	stop := context.AfterFunc(now.ctx, func() { cancel(redirect(node)) })
	defer stop()
	control := ctx.Value(controllerKey{}).(*http.ResponseController)

	var reader sync.WaitGroup
	reader.Go(func() { cancel(s.receive(ctx, stream, control, now, id)) })
	err = s.pushViews(ctx, stream, control, now, id.MemberID)
	cancel(err)
	_ = control.SetReadDeadline(time.Now()) // wakes the reader
	reader.Wait()
	return err
}

// receive takes an agent's messages until the stream ends.
func (s *Server) receive(ctx context.Context, stream *attachStream, control *http.ResponseController, now *session, id cluster.Identity) error {
	for {
		if err := control.SetReadDeadline(time.Now().Add(s.cfg.Limits.Silence)); err != nil {
			return err
		}
		up, err := stream.Receive()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, io.EOF) {
				s.log.Warn("an agent's stream ends", "agent", id.Name, "err", err)
			}
			return err
		}
		if len(up.digest) == 0 {
			continue
		}
		d, err := cluster.ReadDigest(up.digest)
		if err != nil {
			s.log.Warn("an agent's stream ends", "agent", id.Name, "err", err)
			return connect.NewError(connect.CodeInvalidArgument, err)
		}
		if host := d.Snapshot().Host; host != id.MemberID {
			s.log.Warn("an agent's stream ends", "agent", id.Name, "err", "it sent a snapshot in another host's name")
			return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("snapshot of host %.40q by %s", host, id.MemberID))
		}
		if err := now.batch.PutDigest(d); err != nil {
			return connect.NewError(connect.CodeInvalidArgument, err)
		}
	}
}

// The beat of views. An agent that hears nothing for three beats looks for
// another leader. A change is looked at once, a burst of them once per gap.
const (
	viewBeat = time.Second
	viewGap  = 20 * time.Millisecond
	sendTime = 10 * time.Second // an agent that takes no view for so long is cut off
)

// pushViews sends a view whenever what concerns the member has changed, and
// every beat. News of the Raft group goes with a beat: nobody waits for it within
// a second, and to put it together at each change was a tenth of the leader's
// work at 1,000 hosts.
func (s *Server) pushViews(ctx context.Context, stream *attachStream, control *http.ResponseController, now *session, member string) error {
	beat := time.NewTicker(viewBeat)
	defer beat.Stop()
	var seen cluster.State
	var told herald
	for due := true; ; {
		looked := time.Now()
		changed := now.node.Changed()
		state, _ := now.node.State()
		if due || state.Concerns(seen, member) {
			var ticket *consensus.Ticket
			if due {
				ticket = told.news(now.node, member)
			}
			if err := control.SetWriteDeadline(looked.Add(sendTime)); err != nil {
				return err
			}
			if err := stream.Send(&attachDown{state.ViewFor(member), ticket}); err != nil {
				return err
			}
			due = false
		}
		seen = state
		select {
		case <-changed:
			sleep(ctx, viewGap-time.Since(looked))
		case <-beat.C:
			due = true
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
}

// endOf is what the handler answers when its context ended.
func endOf(ctx context.Context) error {
	err := context.Cause(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
