package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// SnapshotRequest asks for the whole State, as a file.
type SnapshotRequest struct {
	// Stale takes what this member has, without asking the leader.
	Stale bool `json:"stale,omitempty"`
}

// SnapshotPart is a piece of the file; the pieces come in order.
type SnapshotPart struct {
	Data []byte `json:"data"` // base64 in JSON
}

// snapshotPart is the size of a piece in bytes.
const snapshotPart = 256 << 10

// methodSnapshot is the one method that streams.
const methodSnapshot = "Snapshot"

// streamSnapshot adds the method.
func (s *Server) streamSnapshot(r *router) {
	path := procedure(methodSnapshot)
	r.add(methodSnapshot, connect.NewServerStreamHandler(path, func(ctx context.Context, req *connect.Request[SnapshotRequest], out *connect.ServerStream[SnapshotPart]) error {
		who, err := whoIs(ctx)
		if err != nil {
			return err
		}
		if !who.operates() {
			return connect.NewError(connect.CodePermissionDenied, errors.New("only an operator saves the State"))
		}
		if !req.Msg.Stale {
			if err := s.catchUp(ctx, who); err != nil {
				return err
			}
		}
		return s.sendSnapshot(who, req.Msg.Stale, out)
	}, handlerOptions()...))
}

func (s *Server) sendSnapshot(who caller, stale bool, out *connect.ServerStream[SnapshotPart]) error {
	state, index := s.cfg.Replica.State()
	if index == 0 {
		return connect.NewError(connect.CodeFailedPrecondition, errors.New("this member has no State: it is no voter; ask one, see `evenkeel cluster peers`"))
	}
	w := bufio.NewWriterSize(sender{out}, snapshotPart)
	err := consensus.WriteBackup(w, consensus.Backup{
		SavedAt: cluster.TimeOf(s.cfg.Now()), SavedBy: s.cfg.Name, Stale: stale, Version: s.cfg.Version, Voters: s.cfg.Replica.Health().Voters,
	}, state)
	if err == nil {
		err = w.Flush()
	}
	s.log.Info("the State was saved by an operator", "by", who.actor.Name, "index", index, "stale", stale, "err", err)
	return err
}

// sender makes pieces of what is written.
type sender struct {
	out *connect.ServerStream[SnapshotPart]
}

// Write implements io.Writer.
func (s sender) Write(data []byte) (n int, err error) {
	for part := data; len(part) > 0; {
		size := min(len(part), snapshotPart)
		if err := s.out.Send(&SnapshotPart{part[:size]}); err != nil {
			return n, err
		}
		n, part = n+size, part[size:]
	}
	return n, nil
}

// catchUp waits until this replica holds all that was acknowledged anywhere
// before the call: it has the leader read, and waits for the index of that.
func (s *Server) catchUp(ctx context.Context, who caller) error {
	asked, cancel := context.WithTimeout(ctx, s.cfg.Limits.Act)
	defer cancel()
	_, err := s.cfg.Replica.ReadIndex(asked)
	if err == nil {
		return nil
	}
	read, err := forward[Empty, Settings](asked, s, who, "GetSettings", &Empty{}, err)
	if err != nil {
		return err
	}
	if read.Stale != nil {
		return connect.NewError(connect.CodeUnavailable, errors.New(read.Stale.Why))
	}
	for {
		_, index := s.cfg.Replica.State()
		if index >= read.Index {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-asked.Done():
			return connect.NewError(connect.CodeUnavailable, fmt.Errorf("this member's State is at %d and does not get to %d", index, read.Index))
		}
	}
}

// Snapshot writes the State to w as a file that [consensus.ReadBackup] reads.
func (c *Client) Snapshot(ctx context.Context, req SnapshotRequest, w io.Writer) error {
	client := connect.NewClient[SnapshotRequest, SnapshotPart](c.http, c.base+procedure(methodSnapshot), clientOptions()...)
	parts, err := client.CallServerStream(ctx, connect.NewRequest(&req))
	if err != nil {
		return c.explain(ctx, err)
	}
	defer parts.Close()
	for parts.Receive() {
		if _, err := w.Write(parts.Msg().Data); err != nil {
			return err
		}
	}
	if err := parts.Err(); err != nil {
		return c.explain(ctx, err)
	}
	return nil
}
