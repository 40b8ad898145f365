package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) history() *cobra.Command {
	var req api.HistoryRequest
	var decisions bool
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Who was moved when and why, and did it help?",
		Long: `Lists moves, newest first, with the steal of the VM that was predicted and what
was measured after it had settled; or with --decisions what was decided, also
when nothing moved. With --since it goes beyond what the State keeps (2000 moves,
500 decisions): through the journal of the member that is asked, which says since
when it remembers.`,
		Example: `  evenkeel history
  evenkeel history --vm db-03
  evenkeel history --decisions
  evenkeel history --since 168h --limit 0
  evenkeel history --json | jq '.items[] | {id, vm, state, downtime_ms}'`,
		Args: noArgs,
	}
	cmd.Flags().IntVar(&req.Limit, "limit", 50, "at most so many; 0: all that is kept")
	cmd.Flags().StringVar(&req.VM, "vm", "", "moves of one VM, by `NAME|UUID`")
	cmd.Flags().BoolVar(&decisions, "decisions", false, "decisions instead of moves")
	cmd.Flags().DurationVar(&since, "since", 0, "back for so long a `TIME`, from this member's journal")
	w := watchFlags(cmd)
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		switch {
		case decisions && req.VM != "":
			return usage{fmt.Errorf("--vm is about moves; `evenkeel explain %s` finds the decisions about a VM", req.VM)}
		case since < 0:
			return usage{fmt.Errorf("--since is %v, must be more than 0", since)}
		case w.on && since > 0:
			return usage{errors.New("--watch shows the present, --since the past: say one of them")}
		case since > 0:
			return a.listPast(ctx, api.PastRequest{SinceSeconds: since.Seconds(), Decisions: decisions, VM: req.VM, Limit: req.Limit})
		case w.on:
			return a.follow(ctx, w, req, decisions)
		case decisions:
			return a.listDecisions(ctx, req)
		}
		return a.listMoves(ctx, req)
	})
	return cmd
}

func (a *app) askMoves(ctx context.Context, req api.HistoryRequest) (*api.MoveList, error) {
	return ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.MoveList, error) { return c.Moves(ctx, req) })
}

func (a *app) askDecisions(ctx context.Context, req api.HistoryRequest) (*api.DecisionList, error) {
	return ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.DecisionList, error) { return c.Decisions(ctx, req) })
}

func (a *app) listMoves(ctx context.Context, req api.HistoryRequest) error {
	list, err := a.askMoves(ctx, req)
	if err != nil {
		return err
	}
	a.notes(list.Head)
	var names []string
	for _, m := range list.Items {
		names = append(names, m.ID)
	}
	return a.print(list, func(w *ui.Writer) { w.Table(moveColumns, moveRows(list.Items)) }, names)
}

func (a *app) listDecisions(ctx context.Context, req api.HistoryRequest) error {
	list, err := a.askDecisions(ctx, req)
	if err != nil {
		return err
	}
	a.notes(list.Head)
	var names []string
	for _, d := range list.Items {
		names = append(names, d.ID)
	}
	return a.print(list, func(w *ui.Writer) { w.Table(decisionColumns, decisionRows(list.Items)) }, names)
}

var moveColumns = []ui.Column{
	{Title: "ID"},
	{Title: "VM"},
	{Title: "SOURCE"},
	{Title: "TARGET"},
	{Title: "STATE"},
	{Title: "ORDERED"},
	{Title: "TOOK", Right: true},
	{Title: "DOWNTIME", Right: true},
	{Title: "STEAL PREDICTED"},
	{Title: "MEASURED", Right: true},
	{Title: "TRIGGER", Wide: true},
	{Title: "DECISION", Wide: true},
	{Title: "REASON"},
}

func moveRows(moves []api.Move) [][]ui.Cell {
	rows := make([][]ui.Cell, len(moves))
	for i, m := range moves {
		reason := m.Reason
		if m.WhyCode != "" || m.State == cluster.MoveUnknown || m.State == cluster.MoveFailed || m.State == cluster.MoveReleased {
			reason = m.Why
		}
		rows[i] = []ui.Cell{
			ui.Text(m.ID), ui.Text(m.VM), ui.Text(m.Source), ui.Text(m.Target), ui.Toned(toneOf(m.State), outcome(m)),
			ui.Text(ui.Clock(m.OrderedAt.Time)), ui.Text(took(m)), ui.Text(downtime(m)),
			ui.Text(ui.Percent(m.Predicted.VMContentionBefore) + " -> " + ui.Percent(m.Predicted.VMContentionAfter)), ui.Text(measured(m)),
			ui.Text(string(m.Trigger)), ui.Text(m.Decision), ui.Text(reason),
		}
	}
	return rows
}

// outcome is a move's state, with the verdict of its verification.
func outcome(m api.Move) string {
	if m.Verdict == "" {
		return string(m.State)
	}
	return string(m.State) + ", " + string(m.Verdict)
}

func took(m api.Move) string {
	if m.StartedAt.IsZero() || m.EndedAt.IsZero() {
		return ""
	}
	return ui.Seconds(m.EndedAt.Sub(m.StartedAt.Time).Seconds())
}

func downtime(m api.Move) string {
	if m.DowntimeMS == nil {
		return ""
	}
	return fmt.Sprintf("%.0f ms", *m.DowntimeMS)
}

func measured(m api.Move) string {
	if m.Measured == nil {
		return ""
	}
	return ui.Percent(m.Measured.VMContentionAfter)
}

func toneOf(s cluster.MoveState) ui.Tone {
	switch s {
	case cluster.MoveDone:
		return ui.Good
	case cluster.MoveFailed, cluster.MoveUnknown:
		return ui.Bad
	case cluster.MoveOrdered, cluster.MoveClaimed, cluster.MoveRunning:
		return ui.Strong
	}
	return ui.Warn
}

var decisionColumns = []ui.Column{
	{Title: "ID"},
	{Title: "AT"},
	{Title: "LAST"},
	{Title: "TIMES", Right: true},
	{Title: "RESULT"},
	{Title: "CODE"},
	{Title: "MOVES"},
	{Title: "MODE", Wide: true},
	{Title: "POLICY", Wide: true},
	{Title: "LEADER", Wide: true},
	{Title: "TERM", Right: true, Wide: true},
	{Title: "TEXT"},
}

func decisionRows(decisions []api.Decision) [][]ui.Cell {
	rows := make([][]ui.Cell, len(decisions))
	for i, d := range decisions {
		rows[i] = []ui.Cell{
			ui.Text(d.ID), ui.Text(ui.Clock(d.At.Time)), ui.Text(ui.Clock(d.LastAt.Time)), ui.Text(fmt.Sprint(d.Repeated + 1)),
			ui.Text(string(d.Result)), ui.Text(string(d.Code)), ui.Text(words(d.Moves)),
			ui.Text(string(d.Mode)), ui.Text(d.Policy), ui.Text(d.Leader), ui.Text(fmt.Sprint(d.Term)), ui.Text(d.Text),
		}
	}
	return rows
}
