package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

func (a *app) migrate() *cobra.Command {
	var req api.MigrateRequest
	var yes, best, leave bool
	cmd := &cobra.Command{
		Use:   "migrate VM HOST|--best",
		Short: "Move a VM now, to a host or to the best one",
		Long: `Orders one live migration, in any mode. It asks for no suffering and no gain, and
knows no cooldown; all else that keeps a VM from a host is checked as for every
move. Waits for the end: 0 if the VM has moved, 5 if it stayed where it was, 1
if the outcome is unknown.`,
		Example: `  evenkeel migrate db-03 hv2 --reason 'closer to its storage'
  evenkeel migrate db-03 --best --dry-run`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return fmt.Errorf("say which VM and which host: evenkeel migrate VM HOST, or VM --best; there are %d arguments", len(args))
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&best, "best", false, "to the host where it is predicted to hurt least")
	cmd.Flags().BoolVar(&leave, "no-wait", false, "do not wait for the end of the move")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if best == (len(args) == 2) {
			return usage{errors.New("say where to: a HOST, or --best")}
		}
		req.VM, req.ID = args[0], requestID()
		where := "the best host"
		if !best {
			req.Host, where = args[1], args[1]
		}
		if !req.DryRun {
			if err := a.consent(yes, fmt.Sprintf("Move %s to %s?", req.VM, where)); err != nil {
				return err
			}
		}
		return a.ordered(ctx, req, leave)
	})
	return cmd
}

// ordered gives the order and waits for its end.
func (a *app) ordered(ctx context.Context, req api.MigrateRequest, leave bool) error {
	var move string
	err := a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) {
		change, err := c.Migrate(ctx, req)
		if err == nil && change.Move != nil {
			move = change.Move.ID
		}
		return change, err
	})
	if err != nil || leave || req.DryRun || move == "" {
		return err
	}
	return a.followOne(ctx, &watch{on: true, every: defaultInterval}, move)
}
