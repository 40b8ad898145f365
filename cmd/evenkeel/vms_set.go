package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
)

func (a *app) vmsSet() *cobra.Command {
	var req api.VMRuleRequest
	cmd := &cobra.Command{
		Use:   "set NAME|UUID",
		Short: "Say what evenkeel may do with one VM by itself",
		Long: `Narrows for one VM what evenkeel does by itself. It goes with the VM wherever
that runs, and holds neither ` + "`evenkeel migrate`" + ` nor a drain back.

--mode off        evenkeel leaves the VM where it is
--mode recommend  it only recommends moves of the VM
--mode auto       it moves the VM if the cluster's mode is auto

--quiet           it leaves the VM where it is at these hours, beside the
                  cluster's (` + "`evenkeel policy quiet -h`" + `), and begins no move
                  of it that twice its predicted time would take into them: a
                  backup fails of a VM that migrates

What is not said stays as it was, and default gives it back to the cluster.`,
		Example: `  evenkeel vms set db-03 --mode off --reason 'month-end until Friday'
  evenkeel vms set db-03 --moves-per-day 1 --downtime-per-day 500ms
  evenkeel vms set db-03 --quiet 'daily 01:00-02:30 Europe/Berlin' --reason backup
  evenkeel vms set db-03 --mode default`,
		Args: oneArg("a VM's name or UUID; `evenkeel vms` lists them"),
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().StringVar(&req.Mode, "mode", "", "off, recommend, auto or default")
	cmd.Flags().StringVar(&req.MovesPerDay, "moves-per-day", "", "leave it where it is after `N` moves within a day, or default")
	cmd.Flags().StringVar(&req.DowntimePerDay, "downtime-per-day", "", "standstill that moves may cost it, a `TIME` or default")
	cmd.Flags().StringArrayVar(&req.Quiet, "quiet", nil, "its own quiet `HOURS`, or default for none; may be repeated")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if req.Empty() {
			return usage{errors.New("say what to change: --mode, --moves-per-day, --downtime-per-day or --quiet")}
		}
		req.VM = args[0]
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetVMRule(ctx, req) })
	})
	return cmd
}

// because adds an operator's reason to a line.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
