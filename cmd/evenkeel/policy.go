package main

import (
	"context"
	"fmt"
	"strings"

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
	cmd.AddCommand(show, a.policySet())
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
	return a.print(s, func(w *ui.Writer) { w.Table(columns, rows) }, api.SettingNames())
}

func (a *app) policySet() *cobra.Command {
	var req api.SettingsRequest
	cmd := &cobra.Command{
		Use:   "set KEY=VALUE...",
		Short: "Change settings, all or none of them",
		Long: `Changes settings of the whole cluster, all that are named or none. Times are
written like 30s or 10m, shares like 10% or 0.1, rates like 100MiB (a second).`,
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
		req.Set = map[string]string{}
		for _, arg := range args {
			key, value, ok := strings.Cut(arg, "=")
			if _, twice := req.Set[key]; !ok || twice {
				return usage{fmt.Errorf("%.80q is not KEY=VALUE, or its key is given twice", arg)}
			}
			req.Set[key] = value
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetSettings(ctx, req) })
	})
	return cmd
}
