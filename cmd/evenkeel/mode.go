package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) mode() *cobra.Command {
	var req api.ModeRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "mode [off|recommend|auto]",
		Short: "Show or set what evenkeel may do",
		Long: `Without an argument it shows the mode.

off        nothing is evaluated, nothing moves
recommend  what should move is decided and recorded, nothing moves
auto       VMs are moved; --vms and --hosts say which ones, by names such as web-*,
           and of all others moves are recommended

No VM moves to a host that its pre-flight checks speak against, and both hosts look
again right before: evenkeel doctor --pairs and --vm show the checks, and evenkeel
report --last 7d what auto would have done.`,
		Example: `  evenkeel mode
  evenkeel mode auto
  evenkeel mode auto --vms 'web-*,build-?' --hosts hv1,hv2
  evenkeel mode off --reason 'storage maintenance'`,
		ValidArgs: []string{"off", "recommend", "auto"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one mode: off, recommend or auto", cmd.CommandPath())
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().StringSliceVar(&req.VMs, "vms", nil, "auto for these VMs: `NAMES` or patterns such as web-*")
	cmd.Flags().StringSliceVar(&req.Hosts, "hosts", nil, "auto between these hosts: `NAMES` or patterns")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if len(args) == 1 {
			req.Mode, req.ID = cluster.Mode(args[0]), requestID()
		}
		if len(args) == 0 || req.Mode == cluster.ModeAuto {
			s, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Status, error) { return c.Status(ctx) })
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.showMode(s)
			}
			if !s.Lab && !req.DryRun {
				if err := a.consent(yes, "From now on evenkeel moves VMs by itself. Go on?"); err != nil {
					return err
				}
			}
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetMode(ctx, req) })
	})
	return cmd
}

func (a *app) showMode(s *api.Status) error {
	a.notes(s.Head)
	answer := struct {
		api.Head
		api.Mode
	}{s.Head, api.Mode{Mode: s.Mode, By: s.ModeBy, For: s.ModeFor, Paused: s.Paused, Frozen: s.Frozen}}
	answer.Kind = "Mode"
	return a.print(answer, func(w *ui.Writer) { w.Line(modeText(w, s)) }, []string{string(s.Mode)})
}
