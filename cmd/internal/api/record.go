package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// RecordRequest asks a member for what its journal holds.
type RecordRequest struct {
	SinceSeconds float64 `json:"since_seconds"`   // how far back
	After        uint64  `json:"after,omitempty"` // go on after this index, as the last answer said; the State of it is known
}

// RecordPart is a piece of the record; the pieces come in order. An answer may
// end before the record does: then its last piece says so.
type RecordPart struct {
	Span    *RecordSpan     `json:"span,omitempty"`  // first of an answer
	Gap     *RecordGap      `json:"gap,omitempty"`   // what follows does not follow on what came before
	State   []byte          `json:"state,omitempty"` // of the State before the next entry; its pieces come one after the other, the entries follow
	Entries []RecordedEntry `json:"entries,omitempty"`
	More    bool            `json:"more,omitempty"` // last of an answer: ask on, after the last index
}

// RecordSpan is what a member's journal holds.
type RecordSpan struct {
	Member string `json:"member"` // who remembers
	First  Time   `json:"first"`
	Last   Time   `json:"last"`
	From   Time   `json:"from"` // what was asked for
}

// RecordGap is what a journal does not hold.
type RecordGap struct {
	After Time   `json:"after"`
	Until Time   `json:"until"` // null: it lasts until the end
	Why   string `json:"why"`
}

// RecordedEntry is an entry of the log as it was applied.
type RecordedEntry struct {
	Index   uint64 `json:"index"`
	Term    uint64 `json:"term"`
	Before  uint64 `json:"before"`            // index of the State before it
	Refused bool   `json:"refused,omitempty"` // it changed nothing but time
	Data    []byte `json:"data"`              // the command, without the hash of a token
}

const (
	// methodRecord streams, like methodSnapshot.
	methodRecord = "Record"
	// recordPart is the size of a piece, from which on it is sent, in bytes.
	recordPart = 128 << 10
	// recordTime bounds one answer: the server gives a connection answerTime.
	recordTime = 15 * time.Second
	// maxRecorders bounds those who read the journal at once.
	maxRecorders = 2
)

// streamRecord adds the method.
func (s *Server) streamRecord(r *router) {
	readers := make(chan struct{}, maxRecorders)
	r.add(methodRecord, connect.NewServerStreamHandler(procedure(methodRecord), func(ctx context.Context, req *connect.Request[RecordRequest], out *connect.ServerStream[RecordPart]) error {
		since := req.Msg.SinceSeconds
		switch {
		case !(since > 0) || since > maxPast.Seconds():
			return invalid("since_seconds is %v, must be more than 0", since)
		case s.cfg.Journal == nil:
			return connect.NewError(connect.CodeFailedPrecondition, errors.New("this member keeps no journal; ask another voter"))
		}
		select {
		case readers <- struct{}{}:
			defer func() { <-readers }()
		default:
			return connect.NewError(connect.CodeUnavailable, fmt.Errorf("%d others read the journal now; try again", maxRecorders))
		}
		w := recordWriter{past: s.cfg.Journal, out: out, end: time.Now().Add(recordTime), last: req.Msg.After}
		from := max(cluster.TimeOf(s.cfg.Now()), 0).Add(-time.Duration(since * float64(time.Second)))
		return w.send(ctx, s.cfg.Name, from)
	}, handlerOptions()...))
}

// recordWriter sends a journal in pieces.
type recordWriter struct {
	past  Journal
	out   interface{ Send(part *RecordPart) error }
	end   time.Time // of this answer
	last  uint64    // index that the reader is at; 0: it knows no State yet
	moved bool      // in this answer
	part  RecordPart
	size  int

	gap     *journal.Gap // came, and no entry since
	unknown uint64       // index of an entry whose State is not known
}

func (w *recordWriter) send(ctx context.Context, member string, from cluster.Time) error {
	span := w.past.Span()
	if span.Last.Index == 0 {
		return connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%s remembers nothing yet", member))
	}
	w.part.Span = spanOf(member, span, from)
	within, err := w.within(ctx, from)
	if err != nil || within.From == 0 {
		return errors.Join(err, w.flush())
	}
	for e, err := range w.past.Entries(ctx, within) {
		var gap *journal.Gap
		switch {
		case errors.As(err, &gap):
			if w.gap == nil { // damage is told of twice: as such, and as what is missing
				w.gap = gap
			}
			continue
		case err != nil:
			return err
		case time.Now().After(w.end) && w.moved:
			w.part.More = true
			return w.flush()
		}
		if err := w.entry(ctx, e); err != nil {
			return err
		}
	}
	if g := w.gap; g != nil { // nothing could be read after it
		if err := w.flush(); err != nil {
			return err
		}
		w.part.Gap = &RecordGap{After: timeOf(g.After.At), Why: g.Why}
	}
	return w.flush()
}

// within are the entries to send. Times in the log may go back by a leader's
// clock, indexes do not.
func (w *recordWriter) within(ctx context.Context, from cluster.Time) (journal.Range, error) {
	if w.last > 0 {
		return journal.Range{From: w.last + 1}, nil
	}
	for e, err := range w.past.Entries(ctx, journal.Range{Since: from}) {
		if ctx.Err() != nil {
			return journal.Range{}, ctx.Err()
		}
		if err == nil {
			return journal.Range{From: e.Index}, nil
		}
	}
	return journal.Range{}, nil
}

func (w *recordWriter) entry(ctx context.Context, e journal.Entry) error {
	if w.last == 0 || e.Before != w.last {
		if w.unknown != 0 && e.Before == w.unknown {
			w.unknown = e.Index
			return nil
		}
		known, err := w.begin(ctx, e)
		if err != nil || !known || w.last == e.Index {
			return err
		}
	}
	w.gap, w.unknown = nil, 0
	data, err := withoutSecrets(e.Data)
	if err != nil {
		return fmt.Errorf("entry %d of the journal: %w", e.Index, err)
	}
	w.part.Entries = append(w.part.Entries, RecordedEntry{e.Index, e.Term, e.Before, e.Refused, data})
	w.last, w.moved, w.size = e.Index, true, w.size+len(data)
	if w.size < recordPart {
		return nil
	}
	return w.flush()
}

// begin sends the State before an entry. Where a segment begins with the State
// after its first entry, that one is sent, and the entry is in it.
func (w *recordWriter) begin(ctx context.Context, e journal.Entry) (known bool, err error) {
	if err := w.flush(); err != nil {
		return false, err
	}
	state, err := w.past.StateAt(ctx, e.Before)
	if errors.Is(err, journal.ErrGone) {
		state, err = w.past.StateAt(ctx, e.Index)
	}
	if errors.Is(err, journal.ErrGone) {
		w.unknown = e.Index // without it the entries that follow say nothing
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := w.tellGap(e); err != nil {
		return false, err
	}
	for i := range state.Tokens {
		if i == 0 {
			state.Tokens = append([]cluster.Token(nil), state.Tokens...)
		}
		state.Tokens[i] = state.Tokens[i].WithoutHash()
	}
	var body bytes.Buffer
	if err := state.Encode(&body); err != nil {
		return false, err
	}
	for body.Len() > 0 {
		w.part.State = body.Next(recordPart)
		if err := w.flush(); err != nil {
			return false, err
		}
	}
	w.last = state.Index
	return true, nil
}

// tellGap says why a State is sent, unless it is the first.
func (w *recordWriter) tellGap(e journal.Entry) error {
	g := w.gap
	if g == nil && w.last == 0 {
		return nil
	}
	if g == nil {
		g = &journal.Gap{Until: e.Mark, Why: "what came before was deleted meanwhile, or given up by the cluster"}
	}
	w.gap = nil
	w.part.Gap = &RecordGap{timeOf(g.After.At), timeOf(g.Until.At), g.Why}
	return w.flush()
}

func (w *recordWriter) flush() error {
	p := &w.part
	if p.Span == nil && p.Gap == nil && p.State == nil && p.Entries == nil && !p.More {
		return nil
	}
	part := w.part
	w.part, w.size = RecordPart{}, 0
	return w.out.Send(&part)
}

func spanOf(member string, span journal.Span, from cluster.Time) *RecordSpan {
	return &RecordSpan{Member: member, First: timeOf(span.First.At), Last: timeOf(span.Last.At), From: timeOf(from)}
}

// withoutSecrets leaves out what only those may read who may read the whole
// State: the hashes of tokens.
func withoutSecrets(data []byte) ([]byte, error) {
	if !bytes.Contains(data, []byte(`"add-token"`)) {
		return data, nil
	}
	c, err := cluster.DecodeCommand(data)
	if err != nil {
		return nil, err
	}
	if b, is := c.Body.(cluster.AddToken); is {
		b.Token = b.Token.WithoutHash()
		c.Body = b
	}
	return cluster.EncodeCommand(c)
}
