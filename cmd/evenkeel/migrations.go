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

func (a *app) migrations() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "migrations",
		Aliases: []string{"migration"},
		Short:   "List moves in flight; watch, cancel or resolve one",
		Long: `Lists moves in flight: ordered, claimed, running, and those whose outcome is
unknown. Those keep their VM from being moved until evidence comes from both
hosts or an operator resolves them.`,
		Example: `  evenkeel migrations
  evenkeel migrations watch
  evenkeel migrations cancel m-2f9
  evenkeel migrations resolve m-2f9 --running-on hv3`,
		Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.listMigrations(ctx) }),
	}
	list := &cobra.Command{
		Use: "list", Short: "List moves in flight", Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.listMigrations(ctx) }),
	}
	cmd.AddCommand(list, a.migrationsWatch(), a.migrationsCancel(), a.migrationsResolve())
	return cmd
}

func (a *app) listMigrations(ctx context.Context) error {
	list, err := a.askMoves(ctx, api.HistoryRequest{Live: true})
	if err != nil {
		return err
	}
	a.notes(list.Head)
	var names []string
	for _, m := range list.Items {
		names = append(names, m.ID)
	}
	return a.print(list, func(w *ui.Writer) { w.Table(flightColumns, flightRows(list)) }, names)
}

var flightColumns = []ui.Column{
	{Title: "ID"},
	{Title: "VM"},
	{Title: "SOURCE"},
	{Title: "TARGET"},
	{Title: "STATE"},
	{Title: "SINCE"},
	{Title: "DONE", Right: true},
	{Title: "REMAINING", Right: true},
	{Title: "DIRTY RATE", Right: true},
	{Title: "BANDWIDTH", Right: true},
	{Title: "LEFT", Right: true},
	{Title: "MESSAGE"},
}

func flightRows(list *api.MoveList) [][]ui.Cell {
	rows := make([][]ui.Cell, len(list.Items))
	for i, m := range list.Items {
		since := m.OrderedAt
		if !m.StartedAt.IsZero() {
			since = m.StartedAt
		}
		done, remaining, dirty, bandwidth := "", "", "", ""
		if p := m.Progress; p.TotalBytes > 0 {
			done, remaining = fmt.Sprintf("%.0f %%", p.Ratio*100), ui.Bytes(p.RemainingBytes)
			dirty, bandwidth = ui.Bytes(p.DirtyBytesPerSecond)+"/s", ui.Bytes(p.BandwidthBytesPerSecond)+"/s"
		}
		rows[i] = []ui.Cell{
			ui.Text(m.ID), ui.Text(m.VM), ui.Text(m.Source), ui.Text(m.Target), ui.Toned(toneOf(m.State), string(m.State)),
			ui.Text(ui.Ago(since.Time, list.Now.Time)), ui.Text(done), ui.Text(remaining), ui.Text(dirty), ui.Text(bandwidth),
			ui.Text(left(m)), ui.Text(flightWords(m)),
		}
	}
	return rows
}

// flightWords is what is to be said of a move under way.
func flightWords(m api.Move) string {
	switch {
	case m.Why != "" || m.State != cluster.MoveRunning:
		return m.Why
	case m.Progress.ThrottleRatio > 0:
		return fmt.Sprintf("vCPUs slowed by %.0f %% so that it converges", m.Progress.ThrottleRatio*100)
	}
	return limitWords(m)
}

// limitWords says how much of the network a migration may take, "" for all.
func limitWords(m api.Move) string {
	rate := ui.Bytes(m.LimitBytesPerSecond) + "/s"
	switch m.LimitBy {
	case cluster.LimitPolicy:
		return "at most " + rate + " by the policy"
	case cluster.LimitSource:
		return "at most " + rate + ", half of " + m.Source + "'s link"
	case cluster.LimitTarget:
		return "at most " + rate + ", half of " + m.Target + "'s link"
	}
	return ""
}

// left estimates the time to the end, and says when there will be none.
func left(m api.Move) string {
	p := m.Progress
	net := p.BandwidthBytesPerSecond - p.DirtyBytesPerSecond
	switch {
	case m.State != cluster.MoveRunning || p.TotalBytes == 0 || p.BandwidthBytesPerSecond == 0:
		return ""
	case net <= 0:
		return "does not converge"
	}
	return ui.Seconds(float64(p.RemainingBytes) / float64(net))
}

func (a *app) migrationsWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch [ID]",
		Short: "Print a line for every tenth of the progress and every change of state",
		Long: `Prints a line whenever a move appears, changes its state or gets a tenth
further. With an id it ends with that move: 0 if it is done, 5 if it failed, was
aborted or came to nothing, 1 if its outcome is unknown.`,
		Args: atMostOne("a move's id"),
	}
	w := &watch{on: true}
	cmd.Flags().DurationVar(&w.every, "interval", defaultInterval, "`TIME` between looks")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return a.follow(ctx, w, api.HistoryRequest{Limit: 100}, false)
		}
		return a.followOne(ctx, w, args[0])
	})
	return cmd
}

var errOver = errors.New("over")

// followOne prints one move until it is over.
func (a *app) followOne(ctx context.Context, w *watch, id string) error {
	said, outcome := "", error(nil)
	err := a.repeat(ctx, w, func(ctx context.Context) error {
		list, err := a.askMoves(ctx, api.HistoryRequest{})
		if err != nil {
			return err
		}
		for _, m := range list.Items {
			if m.ID != id {
				continue
			}
			if key := moveKey(m); key != said {
				said = key
				if err := a.say(followed{m.ID, key, m, moveLine(list.Now, m)}); err != nil {
					return err
				}
			}
			if over, err := ended(m); over {
				outcome = err
				return errOver
			}
			return nil
		}
		return fmt.Errorf("no move %.40q; `evenkeel history` lists them", id)
	})
	if errors.Is(err, errOver) {
		return outcome
	}
	return err
}

// ended says whether a move is over for who waits for it, and how.
func ended(m api.Move) (bool, error) {
	switch m.State {
	case cluster.MoveOrdered, cluster.MoveClaimed, cluster.MoveRunning:
		return false, nil
	case cluster.MoveDone:
		return true, nil
	case cluster.MoveReleased:
		if triedWell(m) {
			return true, nil
		}
	case cluster.MoveUnknown:
		return true, fmt.Errorf("the outcome of %s is unknown: %s; `evenkeel explain %s`", m.ID, m.Why, m.ID)
	}
	why := m.Why
	if m.WhyCode != "" {
		why = string(m.WhyCode) + ": " + why
	}
	return true, exits{exitMigration, fmt.Errorf("%s is %s: %s", m.ID, m.State, why)}
}

func (a *app) migrationsCancel() *cobra.Command {
	var req api.CancelRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Take an order back, or abort its migration: the VM stays where it was",
		Args:  oneArg("a move's id; `evenkeel migrations` lists them"),
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.Move, req.ID = args[0], requestID()
		if !req.DryRun {
			if err := a.consent(yes, "Cancel "+req.Move+"?"); err != nil {
				return err
			}
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Cancel(ctx, req) })
	})
	return cmd
}

func (a *app) migrationsResolve() *cobra.Command {
	var req api.ResolveRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "resolve ID --running-on HOST|none",
		Short: "Say where a VM runs after a move whose outcome is unknown",
		Long: `Ends a move whose outcome is unknown, by your word: evenkeel believes it and may
move the VM again. Look at both hosts first (virsh list --all, ps): a VM that
runs twice destroys its disks. A move whose source is alive reports by itself
and is not resolved.`,
		Example: `  evenkeel migrations resolve m-2f9 --running-on hv3 --reason 'hv1 lost its board'
  evenkeel migrations resolve m-2f9 --running-on none`,
		Args: oneArg("a move's id; `evenkeel migrations` lists them"),
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().StringVar(&req.RunningOn, "running-on", "", "the `HOST` on which the VM runs, or none")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if req.RunningOn == "" {
			return usage{errors.New("--running-on is missing: name the host on which the VM runs, or none")}
		}
		req.Move, req.ID = args[0], requestID()
		if !req.DryRun {
			if err := a.consent(yes, fmt.Sprintf("Have you looked, and %s's VM runs on %s and nowhere else?", req.Move, req.RunningOn)); err != nil {
				return err
			}
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Resolve(ctx, req) })
	})
	return cmd
}

func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes at most one argument, %s; there are %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}
