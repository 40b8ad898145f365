package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// RecordReader is told what a member's journal holds, in order.
type RecordReader interface {
	// Span is told first, and again where the reading goes on.
	Span(s RecordSpan)
	// Gap says why a State follows that does not follow on what came before.
	Gap(g RecordGap)
	// State is the State before the next entry.
	State(s cluster.State) error
	// Entry is an entry that follows on the State, or on the entry before.
	Entry(e RecordedEntry, c cluster.Command) error
}

// maxRecordState bounds a State of the record in bytes.
const maxRecordState = 512 << 20

// Record reads this member's journal, from so long ago until it ends. An error
// of the reader ends it.
func (c *Client) Record(ctx context.Context, since time.Duration, to RecordReader) error {
	client := connect.NewClient[RecordRequest, RecordPart](c.http, c.base+procedure(methodRecord), clientOptions()...)
	r := recordReader{to: to}
	for more := true; more; {
		req := RecordRequest{SinceSeconds: since.Seconds(), After: r.last}
		parts, err := client.CallServerStream(ctx, connect.NewRequest(&req))
		if err != nil {
			return c.explain(ctx, err)
		}
		more = false
		for parts.Receive() {
			if err := r.take(parts.Msg()); err != nil {
				return errors.Join(err, parts.Close())
			}
			more = parts.Msg().More
		}
		err = errors.Join(parts.Err(), parts.Close())
		if err != nil && ctx.Err() == nil && !connect.IsWireError(err) && r.last > req.After {
			// The connection was cut, as a server does to readers that are slow.
			r.body.Reset()
			more = true
			continue
		}
		if err != nil {
			return c.explain(ctx, err)
		}
		if more && r.last == req.After {
			return fmt.Errorf("%s: its record does not go on after entry %d", c.Where(), r.last)
		}
	}
	return r.state()
}

// recordReader puts the pieces together.
type recordReader struct {
	to   RecordReader
	body bytes.Buffer // of a State, so far
	last uint64       // index of the last entry or State
}

func (r *recordReader) take(p *RecordPart) error {
	if p.Span != nil {
		r.to.Span(*p.Span)
	}
	if p.Gap != nil {
		r.to.Gap(*p.Gap)
	}
	if r.body.Write(p.State); r.body.Len() > maxRecordState {
		return fmt.Errorf("a State of the record has more than %d bytes", maxRecordState)
	}
	if len(p.Entries) == 0 {
		return nil
	}
	if err := r.state(); err != nil {
		return err
	}
	for _, e := range p.Entries {
		c, err := cluster.DecodeCommand(e.Data)
		if err != nil {
			return fmt.Errorf("entry %d of the record: %w", e.Index, err)
		}
		if err := r.to.Entry(e, c); err != nil {
			return err
		}
		r.last = e.Index
	}
	return nil
}

// state hands on a State when all of it is there.
func (r *recordReader) state() error {
	if r.body.Len() == 0 {
		return nil
	}
	s, err := cluster.DecodeState(&r.body)
	if err != nil {
		return fmt.Errorf("a State of the record: %w", err)
	}
	r.body.Reset()
	r.last = s.Index
	return r.to.State(s)
}
