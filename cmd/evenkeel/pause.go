package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) pause() *cobra.Command {
	var req api.PauseRequest
	var length time.Duration
	var abort bool
	cmd := &cobra.Command{
		Use:   "pause --for TIME",
		Short: "Order no automatic move for a while, of all VMs, of one, or from and to a host",
		Long: `Orders no automatic move until the time is over or ` + "`evenkeel resume`" + `. Moves that
run go on, unless --abort ends them. The mode stays what it is, and the pause is
loud in every status. Orders by hand and drains do not ask for it.`,
		Example: `  evenkeel pause --for 2h --reason 'switch upgrade in row 4'
  evenkeel pause --for 30m --host hv3
  evenkeel pause --for 8h --vm db-03 --abort`,
		Args: noArgs,
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().StringVar(&req.Host, "host", "", "only what comes to this `HOST` or leaves it")
	cmd.Flags().StringVar(&req.VM, "vm", "", "only this `VM`")
	cmd.Flags().BoolVar(&abort, "abort", false, "also end the automatic moves that are under way")
	cmd.Flags().DurationVar(&length, "for", 0, "how long, a `TIME` such as 30m or 2h")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		if length < time.Second {
			return usage{fmt.Errorf("--for is %v; say how long, such as --for 2h", length)}
		}
		req.ForSeconds, req.ID = length.Seconds(), requestID()
		err := a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Pause(ctx, req) })
		if err != nil || !abort || req.DryRun {
			return err
		}
		return a.abortMoves(ctx, req)
	})
	return cmd
}

func (a *app) resume() *cobra.Command {
	var req api.ResumeRequest
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Lift a pause, and a freeze that evenkeel put on itself",
		Long: `Lifts the pause of the whole cluster and a freeze. A host or VM that was paused
by itself stays so until it is named.`,
		Example: `  evenkeel resume
  evenkeel resume --host hv3`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&req.Host, "host", "", "lift the pause of this `HOST` only")
	cmd.Flags().StringVar(&req.VM, "vm", "", "lift the pause of this `VM` only")
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Resume(ctx, req) })
	})
	return cmd
}

// abortMoves ends the automatic moves under way that a pause is about.
func (a *app) abortMoves(ctx context.Context, paused api.PauseRequest) error {
	moves, err := a.askMoves(ctx, api.HistoryRequest{Live: true})
	if err != nil {
		return err
	}
	hosts, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.HostList, error) { return c.Hosts(ctx) })
	if err != nil {
		return err
	}
	for _, h := range hosts.Items {
		if h.ID == paused.Host {
			paused.Host = h.Name
		}
	}
	about := func(m api.Move) bool {
		switch {
		case m.Trigger != cluster.TriggerAuto || m.State == cluster.MoveUnknown:
			return false
		case paused.Host != "":
			return m.Source == paused.Host || m.Target == paused.Host
		case paused.VM != "":
			return m.VM == paused.VM || m.VMUUID == paused.VM
		}
		return true
	}
	for _, m := range moves.Items {
		if !about(m) {
			continue
		}
		req := api.CancelRequest{Act: api.Act{ID: requestID(), Reason: paused.Reason}, Move: m.ID}
		if err := a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Cancel(ctx, req) }); err != nil {
			return err
		}
	}
	return nil
}
