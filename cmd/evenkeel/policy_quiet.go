package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) policyQuiet() *cobra.Command {
	var req api.QuietRequest
	var none bool
	cmd := &cobra.Command{
		Use:   "quiet 'DAYS HOURS ZONE'...",
		Short: "Set the hours in which evenkeel moves nothing by itself",
		Long: `Sets the hours in which evenkeel moves nothing by itself, in place of those that
there were. DAYS are daily, or days like mon-fri,sun: those on which the hours
begin. HOURS are like 22:00-06:00, by the clock on the wall in the time ZONE,
an IANA name; summer time is heeded.

A move is not begun either if twice its predicted time would reach into them.
Orders by hand and drains do not ask for them.`,
		Example: `  evenkeel policy quiet 'mon-fri 22:00-06:00 Europe/Berlin' --reason backups
  evenkeel policy quiet 'daily 01:00-03:30 UTC' 'sun 00:00-24:00 UTC'
  evenkeel policy quiet --none`,
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().BoolVar(&none, "none", false, "no quiet hours any more")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if none == (len(args) > 0) {
			return usage{errors.New("say hours such as 'mon-fri 22:00-06:00 Europe/Berlin', or --none; `evenkeel policy show` shows them")}
		}
		req.Windows = args
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetQuiet(ctx, req) })
	})
	return cmd
}

// writeQuiet shows the quiet hours below the settings.
func writeQuiet(w *ui.Writer, q *api.QuietHours) {
	if q == nil {
		return
	}
	w.Line("")
	w.Linef("quiet hours: %s, by %s%s", strings.Join(q.Windows, "; "), q.By, because(q.Reason))
	if !q.From.IsZero() {
		w.Linef("next from %s until %s", ui.Clock(q.From.Time), ui.Clock(q.Until.Time))
	}
}
