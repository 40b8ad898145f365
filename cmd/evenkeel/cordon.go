package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) cordon() *cobra.Command {
	var req api.CordonRequest
	cmd := &cobra.Command{
		Use:   "cordon HOST",
		Short: "Keep VMs from coming to a host; those that are there stay",
		Long: `Keeps VMs from being moved to a host, by evenkeel and by hand, until
` + "`evenkeel uncordon`" + `. What runs there stays, and may be moved away as before. A host
that is being drained keeps what it still has.`,
		Example: `  evenkeel cordon hv3 --reason 'memory errors'`,
		Args:    oneArg("a host's name; `evenkeel hosts` lists them"),
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.Host = args[0]
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Cordon(ctx, req) })
	})
	return cmd
}

func (a *app) uncordon() *cobra.Command {
	var req api.UncordonRequest
	cmd := &cobra.Command{
		Use:     "uncordon HOST",
		Short:   "Let VMs come to a host again",
		Example: `  evenkeel uncordon hv3`,
		Args:    oneArg("a host's name; `evenkeel hosts` lists them"),
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.Host = args[0]
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Uncordon(ctx, req) })
	})
	return cmd
}

func (a *app) drain() *cobra.Command {
	var req api.CordonRequest
	var yes, leave bool
	cmd := &cobra.Command{
		Use:   "drain HOST",
		Short: "Move all VMs off a host, and keep others from coming",
		Long: `Cordons a host and has its VMs leave, one after the other as the limits of moves
in flight say, each to where it hurts least. It works in every mode; a freeze
holds it. It goes on when this command is interrupted; ` + "`evenkeel uncordon`" + ` ends it,
` + "`evenkeel undrain --restore`" + ` brings the VMs back.

Waits until the host is empty, and ends with 3 if some VMs cannot leave.`,
		Example: `  evenkeel drain hv3 --reason 'new board'
  evenkeel drain hv3 --dry-run
  evenkeel drain hv3 --yes --no-wait`,
		Args: oneArg("a host's name; `evenkeel hosts` lists them"),
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&leave, "no-wait", false, "do not wait until the host is empty")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.Host, req.Drain, req.ID = args[0], true, requestID()
		if !req.DryRun {
			if err := a.consent(yes, "Move all VMs off "+req.Host+"?"); err != nil {
				return err
			}
		}
		err := a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Cordon(ctx, req) })
		if err != nil || leave || req.DryRun {
			return err
		}
		return a.untilEmpty(ctx, args[0])
	})
	return cmd
}

func (a *app) undrain() *cobra.Command {
	var req api.UncordonRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "undrain HOST [--restore]",
		Short: "Let VMs come to a drained host again, and bring back those that left",
		Example: `  evenkeel undrain hv3
  evenkeel undrain hv3 --restore --yes`,
		Args: oneArg("a host's name; `evenkeel hosts` lists them"),
	}
	actFlags(cmd, &req.Act)
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&req.Restore, "restore", false, "bring back the VMs that were drained from it")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.Host, req.ID = args[0], requestID()
		if req.Restore && !req.DryRun {
			if err := a.consent(yes, "Bring the VMs back that were drained from "+req.Host+"?"); err != nil {
				return err
			}
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.Uncordon(ctx, req) })
	})
	return cmd
}

// stuckFor is how long nothing may happen to a drain before it counts as
// stuck: a VM whose move failed is tried again after its back-off.
const stuckFor = 30 * time.Second

// untilEmpty tells of a drain until the host is empty or nothing more can
// leave it.
func (a *app) untilEmpty(ctx context.Context, host string) error {
	d := draining{app: a, host: host, moved: time.Now()}
	err := a.repeat(ctx, &watch{on: true, every: defaultInterval}, d.look)
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}

// draining follows one drain.
type draining struct {
	*app
	host  string
	said  string
	moved time.Time // when something last changed
}

func (d *draining) look(ctx context.Context) error {
	hosts, err := ask(ctx, d.app, func(ctx context.Context, c *api.Client) (*api.HostList, error) { return c.Hosts(ctx) })
	if err != nil {
		return err
	}
	i := slices.IndexFunc(hosts.Items, func(h api.Host) bool { return h.Name == d.host || h.ID == d.host })
	switch {
	case i < 0:
		return fmt.Errorf("%s is no host any more", d.host)
	case hosts.Items[i].Cordon == nil || !hosts.Items[i].Cordon.Drain:
		return exits{exitBlocked, fmt.Errorf("the drain of %s was ended by somebody else", d.host)}
	}
	moves, err := d.askMoves(ctx, api.HistoryRequest{Live: true})
	if err != nil {
		return err
	}
	h := hosts.Items[i]
	var going []string
	for _, m := range moves.Items {
		if m.Source == h.Name {
			going = append(going, moveLine(moves.Now, m))
		}
	}
	if h.VMs == 0 && len(going) == 0 {
		d.tell(h.Name + " is empty")
		return errOver
	}
	d.tell(strings.Join(append([]string{fmt.Sprintf("%s: %d VMs to go", h.Name, h.VMs)}, going...), "; "))
	if len(going) > 0 {
		d.moved = time.Now()
	}
	if time.Since(d.moved) < stuckFor {
		return nil
	}
	return d.stuck(ctx, h)
}

func (d *draining) tell(text string) {
	if text == d.said {
		return
	}
	d.said, d.moved = text, time.Now()
	fmt.Fprintln(d.stderr, text)
}

// stuck says why nothing leaves, by the last decision on it.
func (d *draining) stuck(ctx context.Context, h api.Host) error {
	list, err := ask(ctx, d.app, func(ctx context.Context, c *api.Client) (*api.DecisionList, error) {
		return c.Decisions(ctx, api.HistoryRequest{Limit: 20})
	})
	if err != nil {
		return err
	}
	for _, x := range list.Items {
		if x.Trigger == cluster.TriggerOperator && x.Code != "" {
			return exits{exitBlocked, fmt.Errorf("%d VMs stay on %s: %s: %s; `evenkeel explain %s`", h.VMs, h.Name, x.Code, x.Text, x.ID)}
		}
	}
	return nil
}
