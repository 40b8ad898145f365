package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) policy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show or change thresholds, limits and the planner that the cluster shares",
		Example: `  evenkeel policy show
  evenkeel policy set enter=15% cooldown=1h`,
		Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.showPolicy(ctx) }),
	}
	show := &cobra.Command{
		Use: "show", Short: "Show the settings", Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.showPolicy(ctx) }),
	}
	cmd.AddCommand(show, a.policySet(), a.policyQuiet(), a.policyExport(), a.policyApply())
	return cmd
}

func (a *app) showPolicy(ctx context.Context) error {
	s, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Settings, error) { return c.Settings(ctx) })
	if err != nil {
		return err
	}
	a.notes(s.Head)
	columns := []ui.Column{{Title: "SETTING"}, {Title: "VALUE", Right: true}, {Title: "MEANING"}}
	var rows [][]ui.Cell
	for _, k := range api.Knobs() {
		if value, ok := s.Settings[k.Name]; ok {
			rows = append(rows, []ui.Cell{ui.Text(k.Name), ui.Text(k.Text(value)), ui.Text(k.Meaning)})
		}
	}
	return a.print(s, func(w *ui.Writer) {
		w.Table(columns, rows)
		writeQuiet(w, s.Quiet)
	}, api.SettingNames())
}

func (a *app) policySet() *cobra.Command {
	var req api.SettingsRequest
	cmd := &cobra.Command{
		Use:   "set KEY=VALUE...",
		Short: "Change settings, all or none of them",
		Long: `Changes settings of the whole cluster, all that are named or none. Times are
written like 30s or 10m, shares like 10% or 0.1, rates like 100MiB (a second).

With --dry-run nothing is changed, and the last 24 hours, or what of them the
member that is asked remembers, are played again under the new settings: see
` + "`evenkeel simulate --help`" + `.`,
		Example: `  evenkeel policy set enter=15% exit=8%
  evenkeel policy set profile=fast --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s takes KEY=VALUE, such as cooldown=1h; `evenkeel policy show` lists the keys", cmd.CommandPath())
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		set, err := assignments(args)
		if err != nil {
			return err
		}
		if req.Set = set; req.DryRun {
			return a.tryPolicy(ctx, req, args)
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetSettings(ctx, req) })
	})
	return cmd
}

// tried is how far back a dry run of new settings looks.
const tried = 24 * time.Hour

// tryPolicy asks whether the settings would be taken, and plays the past under
// them. A member that does not remember takes nothing from the answer.
func (a *app) tryPolicy(ctx context.Context, req api.SettingsRequest, args []string) error {
	change, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetSettings(ctx, req) })
	if err != nil {
		return err
	}
	lane, err := laneOf("", args)
	if err != nil {
		return err
	}
	change.Simulation, err = a.playPast(ctx, tried, lane)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		change.Messages = append(change.Messages, fmt.Sprintf("what would have come of it in the last %v is not known: %v", tried, err))
	}
	a.notes(change.Head)
	return a.print(change, func(w *ui.Writer) {
		writeChange(w, change)
		if change.Simulation != nil {
			w.Line("")
			writeSimulation(w, change.Simulation)
		}
	}, []string{change.Text})
}
