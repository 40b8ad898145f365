package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) report() *cobra.Command {
	last := days(7 * day)
	cmd := &cobra.Command{
		Use:   "report",
		Short: "What would evenkeel have moved, what came of it, and which VMs can never move?",
		Long: `Sums up what was decided: the moves that mode recommend named (and mode auto would
have made), with the contention of the worse host before and as predicted for
afterwards; how many of them would have been regretted, the overload being over
before the move had ended; why others were refused; and the VMs that evenkeel can
take to no other host by itself, with what keeps them where they are. It reads the
journal of the member that is asked, which says since when it remembers. Read it
before ` + "`evenkeel mode auto`" + `.`,
		Example: `  evenkeel report --last 7d
  evenkeel report --last 24h --json | jq '.recommended[] | select(.regretted > 0)'`,
		Args: noArgs,
	}
	cmd.Flags().Var(&last, "last", "how far back, a `TIME` such as 7d or 12h")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		r, err := a.askReport(ctx, time.Duration(last))
		if err != nil {
			return err
		}
		var names []string
		for _, m := range r.Recommended {
			names = append(names, m.VM)
		}
		return a.print(r, func(w *ui.Writer) { writeReport(w, r) }, names)
	})
	return cmd
}

// askReport asks one member for all that a report needs.
func (a *app) askReport(ctx context.Context, last time.Duration) (report, error) {
	since := last.Seconds()
	decided, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Past, error) {
		return c.Past(ctx, api.PastRequest{SinceSeconds: since, Decisions: true})
	})
	if err != nil {
		return report{}, err
	}
	moved, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Past, error) {
		return c.Past(ctx, api.PastRequest{SinceSeconds: since})
	})
	if err != nil {
		return report{}, err
	}
	stuck, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.StuckList, error) { return c.Stuck(ctx) })
	if err != nil {
		return report{}, err
	}
	r := reportOf(decided.Now.Time, decided.Decisions, moved.Moves)
	r.APIVersion, r.Kind, r.Complete = api.Version, "Report", decided.Complete
	r.Until = decided.Now
	r.Since = api.Time{Time: decided.Now.Add(-last)}
	if decided.Since.After(r.Since.Time) {
		r.Since = decided.Since
	}
	r.Messages = append(append(r.Messages, decided.Messages...), stuck.Messages...)
	r.Stuck = stuck.Items
	a.notes(api.Head{Messages: r.Messages})
	return r, nil
}

var (
	recommendedColumns = []ui.Column{
		{Title: "VM"},
		{Title: "SOURCE"},
		{Title: "TARGET"},
		{Title: "SPELLS", Right: true},
		{Title: "REGRETTED", Right: true},
		{Title: "CONTENTION"},
		{Title: "WOULD TAKE", Right: true},
		{Title: "LAST"},
	}
	refusedColumns = []ui.Column{{Title: "REFUSED"}, {Title: "TIMES", Right: true}}
	stuckColumns   = []ui.Column{{Title: "STUCK"}, {Title: "HOST"}, {Title: "CODE"}, {Title: "WHY"}, {Title: "REMEDY"}}
)

func writeReport(w *ui.Writer, r report) {
	w.Linef("%s to %s UTC, evaluations: %d moved something, %d would have in mode auto, %d found nothing to do",
		ui.Clock(r.Since.Time), ui.Clock(r.Until.Time), r.Evaluations.Moved, r.Evaluations.Recommended, r.Evaluations.Nothing)
	w.Linef("moves: %d done (%d made things better, %d worse), %d failed", r.Moves.Done, r.Moves.Better, r.Moves.Worse, r.Moves.Failed)
	var rows [][]ui.Cell
	for _, m := range r.Recommended {
		rows = append(rows, []ui.Cell{
			ui.Text(m.VM), ui.Text(m.Source), ui.Text(m.Target), ui.Text(strconv.Itoa(m.Times)), ui.Text(strconv.Itoa(m.Regretted)),
			ui.Text(ui.Percent(m.ContentionBefore) + " -> " + ui.Percent(m.ContentionAfter)), ui.Text(ui.SecondsOr(m.DurationSeconds)),
			ui.Text(ui.Clock(m.LastAt.Time)),
		})
	}
	section(w, recommendedColumns, rows)
	rows = nil
	for _, c := range r.Refused {
		rows = append(rows, []ui.Cell{ui.Text(string(c.Code)), ui.Text(strconv.Itoa(c.N))})
	}
	section(w, refusedColumns, rows)
	rows = nil
	for _, vm := range r.Stuck {
		h := vm.Hindrance
		rows = append(rows, []ui.Cell{ui.Text(vm.VM), ui.Text(vm.Host), ui.Text(string(h.Code)), ui.Text(h.Text), ui.Text(h.Remedy)})
	}
	section(w, stuckColumns, rows)
}

// section is a table after an empty line, if it has rows.
func section(w *ui.Writer, columns []ui.Column, rows [][]ui.Cell) {
	if len(rows) > 0 {
		w.Line("")
		w.Table(columns, rows)
	}
}

// days is a flag's time that may be given in days.
type days time.Duration

// String implements pflag.Value.
func (d *days) String() string {
	if t := time.Duration(*d); t > 0 && t%day == 0 {
		return fmt.Sprintf("%dd", t/day)
	}
	return time.Duration(*d).String()
}

// Type implements pflag.Value.
func (d *days) Type() string { return "time" }

// Set implements pflag.Value.
func (d *days) Set(text string) error {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.Atoi(n)
		if err != nil || count <= 0 || count > 3650 {
			return errors.New("not a number of days between 1d and 3650d")
		}
		*d = days(time.Duration(count) * day)
		return nil
	}
	t, err := time.ParseDuration(text)
	if err != nil || t <= 0 {
		return errors.New("not a time; write it like 7d or 12h")
	}
	*d = days(t)
	return nil
}
