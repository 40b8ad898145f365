package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) plan() *cobra.Command {
	var req api.PlanRequest
	var detailed, fleet bool
	var moves int
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "What would be moved now, and what would not, and why?",
		Long: `Shows what the leader would do at this moment: the moves in their order with the
steal of both hosts before and after, what they cost, and what was looked at and
refused. Nothing is moved.

With --fleet it shows instead what would be best for all hosts together, whoever
suffers: moves, exchanges and chains in an order that has room for each. It takes
some seconds, and is for an operator to carry out with ` + "`evenkeel migrate`" + `.`,
		Example: `  evenkeel plan
  evenkeel plan --policy half-difference
  evenkeel plan --fleet --moves 10
  evenkeel plan --detailed-exitcode     # 0: nothing to move, 2: there is a plan`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&req.Policy, "policy", "", "plan by another `POLICY`, such as half-difference")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "end with 2 if there is a plan")
	cmd.Flags().BoolVar(&fleet, "fleet", false, "plan for all hosts together")
	cmd.Flags().IntVar(&moves, "moves", 20, "with --fleet: at most so many `MOVES`")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		switch {
		case fleet && moves < 1:
			return usage{fmt.Errorf("--moves is %d, must be at least 1", moves)}
		case fleet:
			req.Moves = moves
		case cmd.Flags().Changed("moves"):
			return usage{errors.New("--moves is for --fleet")}
		}
		p, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Plan, error) { return c.Plan(ctx, req) })
		if err != nil {
			return err
		}
		a.notes(p.Head)
		var names []string
		for _, s := range p.Steps {
			names = append(names, s.VM)
		}
		if err := a.print(p, func(w *ui.Writer) { planText(w, p) }, names); err != nil {
			return err
		}
		if detailed && len(p.Steps) > 0 {
			return exits{exitPlan, errSilent}
		}
		return nil
	})
	return cmd
}

func planText(w *ui.Writer, p *api.Plan) {
	if len(p.Steps) == 0 {
		w.Linef("nothing to move: %s, %s", p.Code, p.Text)
	} else {
		w.Table(stepColumns, stepRows(p.Steps))
	}
	if f := p.Fleet; f != nil {
		w.Linef("worst contention %s, CPUs waited for %.1f -> %.1f, %sabout %s of copying%s",
			turn(f.WorstBefore, f.WorstAfter), f.WaitingBefore, f.WaitingAfter, brokenText(f), ui.Seconds(f.CopySeconds), leftText(f.Left))
		return
	}
	switch {
	case len(p.Steps) == 0:
	case p.Held != nil:
		w.Line(w.Paint(ui.Warn, "not now: "+string(p.Held.Code)+", "+p.Held.Text))
	case p.Mode == cluster.ModeRecommend:
		w.Line("recommended only: `evenkeel mode auto` lets evenkeel move VMs")
	}
	if len(p.Candidates) > 0 {
		w.Line("")
		w.Linef("Refused, the best first: %s (docs/refusals.md)", countsText(p.Counts))
		w.Table(candidateColumns, candidateRows(p.Candidates))
	}
}

// brokenText says how far rules are broken, if they are.
func brokenText(f *api.FleetPlan) string {
	if f.BrokenBefore+f.BrokenAfter == 0 {
		return ""
	}
	return fmt.Sprintf("rules broken by %d -> %d VMs, ", f.BrokenBefore, f.BrokenAfter)
}

func leftText(left int) string {
	if left == 0 {
		return ""
	}
	return fmt.Sprintf("; %d more would help, and cannot be made in any order", left)
}

var stepColumns = []ui.Column{
	{Title: "#", Right: true},
	{Title: "VM"},
	{Title: "SOURCE"},
	{Title: "TARGET"},
	{Title: "CONTENTION OF VM"},
	{Title: "OF SOURCE"},
	{Title: "OF TARGET"},
	{Title: "TAKES", Right: true},
	{Title: "SENDS", Right: true},
	{Title: "REASON"},
}

func stepRows(steps []api.Step) [][]ui.Cell {
	rows := make([][]ui.Cell, len(steps))
	for i, s := range steps {
		e := s.Predicted
		rows[i] = []ui.Cell{
			ui.Text(fmt.Sprint(i + 1)), ui.Text(s.VM), ui.Text(s.Source), ui.Text(s.Target),
			ui.Text(turn(e.VMContentionBefore, e.VMContentionAfter)), ui.Text(turn(e.SourceContentionBefore, e.SourceContentionAfter)), ui.Text(turn(e.TargetContentionBefore, e.TargetContentionAfter)),
			ui.Text(approx(ui.SecondsOr(e.DurationSeconds))), ui.Text(approx(sent(e.Bytes))), ui.Text(s.Reason),
		}
	}
	return rows
}

// turn shows a figure before and after.
func turn(before, after float64) string { return ui.Percent(before) + " -> " + ui.Percent(after) }

func approx(text string) string {
	if text == "" {
		return ""
	}
	return "~" + text
}

func sent(n *int64) string {
	if n == nil {
		return ""
	}
	return ui.Bytes(*n)
}

var candidateColumns = []ui.Column{
	{Title: "VM"},
	{Title: "SOURCE"},
	{Title: "TARGET"},
	{Title: "CONTENTION OF VM"},
	{Title: "OF TARGET"},
	{Title: "VERDICT"},
	{Title: ""},
}

func candidateRows(candidates []api.Candidate) [][]ui.Cell {
	rows := make([][]ui.Cell, len(candidates))
	for i, c := range candidates {
		e, verdict := c.Predicted, ui.Toned(ui.Warn, string(c.Code))
		switch {
		case c.Chosen:
			verdict = ui.Toned(ui.Good, "chosen")
		case c.Code == "":
			verdict = ui.Toned(ui.Good, "feasible")
		}
		ofVM, ofTarget := "", ""
		if predicted(e) {
			ofVM, ofTarget = turn(e.VMContentionBefore, e.VMContentionAfter), turn(e.TargetContentionBefore, e.TargetContentionAfter)
		}
		rows[i] = []ui.Cell{
			ui.Text(c.VM), ui.Text(c.Source), ui.Text(c.Target), ui.Text(ofVM), ui.Text(ofTarget), verdict, ui.Text(c.Text),
		}
	}
	return rows
}

// predicted says whether a candidate came as far as a prediction.
func predicted(e api.Effect) bool {
	return e.VMContentionBefore != 0 || e.VMContentionAfter != 0 || e.SourceContentionBefore != 0 || e.TargetContentionAfter != 0
}

func countsText(counts []cluster.CodeCount) string {
	text := ""
	for i, c := range counts {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", c.N, c.Code)
	}
	return text
}
