package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// actFlags are those of every verb that changes something.
func actFlags(cmd *cobra.Command, act *api.Act) {
	cmd.Flags().StringVar(&act.Reason, "reason", "", "`TEXT` for those who read the record")
	cmd.Flags().BoolVar(&act.DryRun, "dry-run", false, "say what would come of it, change nothing")
}

func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
}

// consent asks on a terminal, and wants --yes elsewhere.
func (a *app) consent(yes bool, question string) error {
	if yes {
		return nil
	}
	if !ui.Terminal(a.stdin) || !ui.Terminal(a.stderr) {
		return usage{errors.New("this is not a terminal: say --yes if you mean it")}
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", ui.Clean(question))
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && answer == "" {
		return fmt.Errorf("no answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

// change makes a call that changes something and says what came of it.
func (a *app) change(ctx context.Context, call func(context.Context, *api.Client) (*api.Change, error)) error {
	change, err := ask(ctx, a, call)
	if err != nil {
		return err
	}
	a.notes(change.Head)
	return a.print(change, func(w *ui.Writer) { writeChange(w, change) }, []string{change.Text})
}

func writeChange(w *ui.Writer, change *api.Change) {
	if !change.Done {
		w.Linef("dry run, nothing was changed: %s", change.Text)
		return
	}
	w.Linef("%s", change.Text)
}

// requestID makes a request safe to send again.
func requestID() string { return uuid.NewString() }
