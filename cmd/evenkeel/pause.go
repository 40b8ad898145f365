package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

func (a *app) pause() *cobra.Command {
	var req api.PauseRequest
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "pause --for TIME",
		Short: "Order no automatic move for a while",
		Long: `Orders no automatic move until the time is over or ` + "`evenkeel resume`" + `. Moves that
run go on. The mode stays what it is, and the pause is loud in every status.`,
		Example: `  evenkeel pause --for 2h --reason 'switch upgrade in row 4'`,
		Args:    noArgs,
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().DurationVar(&length, "for", 0, "how long, a `TIME` such as 30m or 2h")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		if length < time.Second {
			return usage{fmt.Errorf("--for is %v; say how long, such as --for 2h", length)}
		}
		req.ForSeconds = length.Seconds()
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Pause(ctx, req) })
	})
	return cmd
}

func (a *app) resume() *cobra.Command {
	var req api.ResumeRequest
	cmd := &cobra.Command{
		Use:     "resume",
		Short:   "Lift a pause, and a freeze that evenkeel put on itself",
		Example: `  evenkeel resume`,
		Args:    noArgs,
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Resume(ctx, req) })
	})
	return cmd
}
