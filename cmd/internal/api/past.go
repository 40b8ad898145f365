package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/evenkeel/evenkeel/consensus/journal"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
	"github.com/evenkeel/evenkeel/scheduler/rebalancer"
)

// Journal is what the server needs of this member's journal.
type Journal interface {
	Span() journal.Span
	StateAt(ctx context.Context, index uint64) (cluster.State, error)
	Entries(ctx context.Context, r journal.Range) iter.Seq2[journal.Entry, error]
	States(ctx context.Context, r journal.Range) iter.Seq2[journal.Checkpoint, error]
}

// PastRequest asks the member itself for moves or decisions that the State may
// have forgotten.
type PastRequest struct {
	SinceSeconds float64 `json:"since_seconds"` // how far back
	Decisions    bool    `json:"decisions,omitempty"`
	VM           string  `json:"vm,omitempty"`    // name or UUID; of moves only
	Limit        int     `json:"limit,omitempty"` // at most so many; 0: all
}

// Past is moves or decisions, newest first, from one member's journal.
type Past struct {
	Head
	Member    string     `json:"member"`   // who remembers
	Since     Time       `json:"since"`    // it remembers from then on
	Gaps      int        `json:"gaps"`     // of its memory
	Complete  bool       `json:"complete"` // its memory covers what was asked for
	Moves     []Move     `json:"moves"`
	Decisions []Decision `json:"decisions"`
}

// maxPast bounds how far back a request may go.
const maxPast = 10 * 365 * 24 * time.Hour

func (s *Server) past(ctx context.Context, v view, req *PastRequest) (*Past, error) {
	if !(req.SinceSeconds > 0) || req.SinceSeconds > maxPast.Seconds() || req.Limit < 0 {
		return nil, invalid("since_seconds is %v and limit %d, must be more than 0, and 0 or more", req.SinceSeconds, req.Limit)
	}
	out := &Past{Head: v.head("Past"), Member: s.cfg.Name, Moves: []Move{}, Decisions: []Decision{}}
	since := v.now.Add(-time.Duration(req.SinceSeconds * float64(time.Second)))
	w := recollection{req: req, since: since, out: out, moves: map[string]bool{}, decisions: map[string]bool{}}
	w.take(v.state)
	if s.cfg.Journal == nil {
		out.Messages = append(out.Messages, "this member keeps no journal: only what the State holds is shown")
		return out, nil
	}
	span := s.cfg.Journal.Span()
	out.Since, out.Gaps = timeOf(span.First.At), len(span.Gaps)
	out.Complete = span.First.Index > 0 && span.First.At <= since && out.Gaps == 0
	if err := w.walk(ctx, s.cfg.Journal, v.state); err != nil {
		return nil, err
	}
	out.Messages = append(out.Messages, fmt.Sprintf("%s remembers since %s, with %d gaps", s.cfg.Name, span.First.At.Std().UTC().Format(time.RFC3339), out.Gaps))
	return out, nil
}

// recollection gathers what several States hold, newest State first: what a
// later one says of a move is the newer word.
type recollection struct {
	req              *PastRequest
	since            cluster.Time
	out              *Past
	moves, decisions map[string]bool
}

func (w *recollection) full() bool {
	return w.req.Limit > 0 && len(w.out.Moves)+len(w.out.Decisions) >= w.req.Limit
}

func (w *recollection) take(s cluster.State) {
	if w.req.Decisions {
		w.takeDecisions(s)
		return
	}
	for _, m := range s.MovesBackward() {
		if w.moves[m.ID] || m.OrderedAt < w.since || w.req.VM != "" && m.VM != w.req.VM && m.VMName != w.req.VM {
			continue
		}
		if w.full() {
			return
		}
		w.moves[m.ID] = true
		w.out.Moves = append(w.out.Moves, moveOf(s, m))
	}
}

func (w *recollection) takeDecisions(s cluster.State) {
	vms := vmNames(s)
	for _, d := range s.DecisionsBackward() {
		if w.decisions[d.ID] || d.LastAt < w.since {
			continue
		}
		if w.full() {
			return
		}
		w.decisions[d.ID] = true
		w.out.Decisions = append(w.out.Decisions, decisionOf(s, vms, d))
	}
}

// walk goes back through the checkpoints. Each State holds the newest moves
// and decisions before it; only where more came between two checkpoints than a
// State keeps, the States in between are computed too.
func (w *recollection) walk(ctx context.Context, past Journal, later cluster.State) error {
	for c, err := range past.States(ctx, journal.Range{Since: w.since}) {
		if ctx.Err() != nil {
			return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the journal is long: ask for less, or give --timeout more"))
		}
		if err != nil {
			w.out.Messages = append(w.out.Messages, err.Error())
			continue
		}
		if w.full() {
			return nil
		}
		if err := w.between(ctx, c, later); err != nil {
			w.out.Messages = append(w.out.Messages, err.Error())
		}
		w.take(c.State)
		later = c.State
	}
	return nil
}

// between takes the States after a checkpoint at which enough has come to be
// forgotten again before the next one. They are taken newest first.
func (w *recollection) between(ctx context.Context, c journal.Checkpoint, later cluster.State) error {
	const decisions, moves = cluster.MaxDecisions / 2, cluster.MaxMoves / 2
	if later.LastDecision-c.State.LastDecision < cluster.MaxDecisions && later.LastMove-c.State.LastMove < cluster.MaxMoves {
		return nil
	}
	last, states := c.State, []cluster.State{}
	err := c.Replay(ctx, func(s cluster.State) bool {
		if s.LastDecision-last.LastDecision >= decisions || s.LastMove-last.LastMove >= moves {
			states, last = append(states, s), s
		}
		return true
	})
	for i := len(states) - 1; i >= 0; i-- {
		w.take(states[i])
	}
	return err
}

// ReplayRequest names a decision.
type ReplayRequest struct {
	Decision string `json:"decision"` // id
}

// Replay says whether the planner decides again what it decided then.
type Replay struct {
	Head
	Member   string   `json:"member"`   // whose journal it was computed from
	Decision string   `json:"decision"` // id
	Index    uint64   `json:"planned_on"`
	At       Time     `json:"planned_at"`
	Same     bool     `json:"same"`     // byte for byte
	Refused  bool     `json:"refused"`  // the State had refused the orders, and the record says that; all else is compared
	Recorded Decision `json:"recorded"` // as the leader proposed it
	Again    Decision `json:"again"`    // as this binary decides on the same State
}

func (s *Server) replay(ctx context.Context, v view, req *ReplayRequest) (*Replay, error) {
	if !strings.HasPrefix(req.Decision, "d-") || len(req.Decision) > 40 {
		return nil, invalid("%.40q is no decision's id; `evenkeel history --decisions` lists them", req.Decision)
	}
	if s.cfg.Journal == nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("this member keeps no journal; ask another voter"))
	}
	recorded, err := findRecorded(ctx, s.cfg.Journal, v.state, req.Decision)
	if err != nil {
		return nil, err
	}
	if recorded.PlannedAt == 0 {
		return nil, connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%s was recorded without the time that it was planned with", req.Decision))
	}
	then, err := s.cfg.Journal.StateAt(ctx, recorded.Index)
	if err != nil {
		return nil, inputGone(req.Decision, err)
	}
	again := decideAgain(then, recorded)
	again.ID, again.Repeated = recorded.ID, recorded.Repeated // of the record, not of the plan
	out := &Replay{Head: v.head("Replay"), Member: s.cfg.Name, Decision: recorded.ID, Index: recorded.Index, At: timeOf(recorded.PlannedAt)}
	if again.Result == cluster.ResultMoved && recorded.Result == cluster.ResultNothing {
		out.Refused = true
		again.Result, again.Code, again.Text = recorded.Result, recorded.Code, recorded.Text
	}
	if out.Same, err = sameBytes(recorded, again); err != nil {
		return nil, err
	}
	names := vmNames(then)
	out.Recorded, out.Again = decisionOf(then, names, recorded), decisionOf(then, names, again)
	return out, nil
}

// decideAgain runs what made a decision.
func decideAgain(then cluster.State, recorded cluster.Decision) cluster.Decision {
	var again cluster.Decision
	switch {
	case recorded.Asked != nil:
		again, _ = rebalancer.Ask(then, recorded.Leader, recorded.PlannedAt, *recorded.Asked)
	case recorded.Undoes != "":
		again, _, _ = rebalancer.Undo(then, recorded.Leader, recorded.PlannedAt)
	case recorded.Trigger == cluster.TriggerOperator:
		again, _, _ = rebalancer.Obey(then, recorded.Leader, recorded.PlannedAt)
	default:
		again, _ = rebalancer.Evaluate(then, recorded.Leader, recorded.PlannedAt)
	}
	return again
}

func sameBytes(a, b cluster.Decision) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

func inputGone(id string, err error) error {
	return connect.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%s cannot be replayed here: its input is gone: %w; another voter may remember it", id, err))
}

// findRecorded finds the command that made a decision. Later ones that were
// folded into it bear the next id, which the next decision has as well: so the
// State's record, if there is one, tells by its index which is meant.
func findRecorded(ctx context.Context, past Journal, now cluster.State, id string) (found cluster.Decision, err error) {
	known, ok := now.Decision(id)
	within := journal.Range{}
	if ok {
		within = journal.Range{From: known.Index, To: math.MaxUint64, Since: known.At, Until: known.At.Add(time.Minute)}
	}
	for e, err := range past.Entries(ctx, within) {
		if ctx.Err() != nil {
			return found, connect.NewError(connect.CodeDeadlineExceeded, errors.New("the journal is long: give --timeout more"))
		}
		if err != nil || e.Refused {
			continue
		}
		if c, err := cluster.DecodeCommand(e.Data); err == nil {
			if d, is := c.Body.(cluster.Decide); is && d.Decision.ID == id && (!ok || d.Decision.Index == known.Index) {
				found = d.Decision
			}
		}
	}
	if found.ID == "" {
		return found, inputGone(id, fmt.Errorf("%w: no entry records it", journal.ErrGone))
	}
	return found, nil
}

// Past asks this member for what the State may have forgotten.
func (c *Client) Past(ctx context.Context, req PastRequest) (*Past, error) {
	return call[PastRequest, Past](ctx, c, "Past", &req)
}

// Replay has a decision made again, from this member's journal.
func (c *Client) Replay(ctx context.Context, id string) (*Replay, error) {
	return call[ReplayRequest, Replay](ctx, c, "Replay", &ReplayRequest{id})
}
