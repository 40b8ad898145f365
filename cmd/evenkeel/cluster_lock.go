package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// locking is one use of the cluster's lock.
type locking struct {
	a        *app
	req      api.LockRequest
	duration time.Duration
	wait     time.Duration
	idle     bool // it is not taken while a VM moves
}

const lockPause = 2 * time.Second // between attempts while somebody else has it

func (a *app) clusterLock() *cobra.Command {
	l := &locking{a: a, duration: 5 * time.Minute}
	cmd := &cobra.Command{
		Use:   "lock [-- COMMAND...]",
		Short: "Do something on one member at a time, such as a restart",
		Long: `Takes the cluster's one lock, so that upgrades and restarts go from member to
member and never cost two at once. With a command the lock is kept while that
runs, prolonged as need be, and given back; the exit code is the command's.
Without one the lock's id is printed, for ` + "`evenkeel cluster unlock`" + `. A lock ends
by itself after --for. With --idle it is not taken while a move is ordered or
runs; one whose outcome is unknown does not count, for it may stay so.`,
		Example: `  evenkeel cluster lock --wait 30m --idle --reason upgrade -- systemctl restart evenkeeld
  id=$(evenkeel cluster lock --for 10m --reason 'kernel update')`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return fmt.Errorf("%s: write -- in front of the command", cmd.CommandPath())
			}
			return nil
		},
	}
	actFlags(cmd, &l.req.Act)
	cmd.Flags().DurationVar(&l.duration, "for", l.duration, "the lock ends by itself after this `TIME`")
	cmd.Flags().DurationVar(&l.wait, "wait", 0, "wait so long, a `TIME`, while somebody else has it")
	cmd.Flags().BoolVar(&l.idle, "idle", false, "wait, too, while a move is in flight")
	cmd.Flags().StringVar(&l.req.Holder, "holder", "", "whose lock it is, a `NAME`; default: the host name")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error { return l.run(ctx, args) })
	return cmd
}

func (l *locking) run(ctx context.Context, command []string) error {
	if l.req.Holder == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("this host's name: %w; say --holder", err)
		}
		l.req.Holder = name
	}
	l.req.Lock, l.req.ForSeconds = requestID(), l.duration.Seconds()
	change, err := l.take(ctx)
	if err != nil {
		return err
	}
	l.a.notes(change.Head)
	if len(command) == 0 || !change.Done {
		return l.a.print(change, func(w *ui.Writer) {
			if change.Done {
				w.Linef("%s", l.req.Lock)
			} else {
				w.Linef("dry run, nothing was changed: %s", change.Text)
			}
		}, []string{l.req.Lock})
	}
	l.a.note("%s", change.Text)
	l.idle = false // to prolong it asks for nothing
	err = l.hold(ctx, command)
	give := api.UnlockRequest{Act: api.Act{ID: requestID(), Reason: l.req.Reason}, Lock: l.req.Lock}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.a.timeout)
	defer cancel()
	if _, giveErr := ask(last, l.a, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.GiveLock(ctx, give) }); giveErr != nil {
		l.a.note("the lock was not given back and ends by itself: %v", giveErr)
	}
	return err
}

// take asks until the lock is free or the time to wait is over.
func (l *locking) take(ctx context.Context) (*api.Change, error) {
	for end, told := time.Now().Add(l.wait), false; ; {
		change, err := l.try(ctx)
		var call *api.Error
		busy := errors.As(err, &call) && (call.Code == cluster.CodeLocked || call.Code == cluster.CodeMoveInFlight)
		if !busy || time.Now().After(end) {
			return change, err
		}
		if !told {
			l.a.note("waiting: %s", call.Text)
			told = true
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try asks once.
func (l *locking) try(ctx context.Context) (*api.Change, error) {
	if l.idle {
		if err := l.moving(ctx); err != nil {
			return nil, err
		}
	}
	req := l.req
	req.ID = requestID()
	return ask(ctx, l.a, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.TakeLock(ctx, req) })
}

// moving says which VM moves just now. Who has the lock already does not ask.
func (l *locking) moving(ctx context.Context) error {
	list, err := l.a.askMoves(ctx, api.HistoryRequest{Live: true})
	if err != nil {
		return err
	}
	for _, m := range list.Items {
		if m.State != cluster.MoveUnknown {
			return &api.Error{
				Cause: api.CauseBlocked, Code: cluster.CodeMoveInFlight,
				Text: fmt.Sprintf("%s: %s moves %s from %s to %s", cluster.CodeMoveInFlight, m.ID, m.VM, m.Source, m.Target),
			}
		}
	}
	return nil
}

// hold runs the command, and prolongs the lock while it does.
func (l *locking) hold(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = l.a.stdin, l.a.stdout, l.a.stderr
	cmd.Env = append(os.Environ(), "EVENKEEL_LOCK="+l.req.Lock)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		return plainFailure(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(l.duration / 3)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() > 0 {
				return exits{exit.ExitCode(), errSilent}
			}
			if err != nil {
				return plainFailure(fmt.Errorf("%s: %w", command[0], err))
			}
			return nil
		case <-tick.C:
			if _, err := l.take(ctx); err != nil {
				l.a.note("the lock was not prolonged: %v", err)
			}
		}
	}
}

func (a *app) clusterUnlock() *cobra.Command {
	var req api.UnlockRequest
	cmd := &cobra.Command{
		Use:   "unlock [ID]",
		Short: "Give the cluster's lock back",
		Example: `  evenkeel cluster unlock "$id"
  evenkeel cluster unlock --force           # whoever has it`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 == req.Force {
				return fmt.Errorf("%s takes the id that `evenkeel cluster lock` printed, or --force", cmd.CommandPath())
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().BoolVar(&req.Force, "force", false, "take it from whoever has it")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.ID = requestID()
		if len(args) == 1 {
			req.Lock = args[0]
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.GiveLock(ctx, req) })
	})
	return cmd
}
