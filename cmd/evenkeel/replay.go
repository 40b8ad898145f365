package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) replay() *cobra.Command {
	return &cobra.Command{
		Use:   "replay DECISION",
		Short: "Make a decision again from what was known then, and compare",
		Long: `Computes the State that a decision was made on from the journal of the member
that is asked, plans on it again with that member's planner, and compares byte
for byte. It exits with 1 if they differ; after an upgrade they may, for the
planner is another. When the input is gone it says so.`,
		Example: `  evenkeel history --decisions
  evenkeel replay d-2f`,
		Args: exactlyOne("a decision's id"),
		RunE: a.verb(func(ctx context.Context, args []string) error {
			r, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Replay, error) { return c.Replay(ctx, args[0]) })
			if err != nil {
				return err
			}
			a.notes(r.Head)
			if err := a.print(r, func(w *ui.Writer) { writeReplay(w, r) }, []string{r.Decision}); err != nil {
				return err
			}
			if !r.Same {
				return exits{exitFailed, errSilent}
			}
			return nil
		}),
	}
}

func writeReplay(w *ui.Writer, r *api.Replay) {
	verdict := "the same, byte for byte"
	if !r.Same {
		verdict = "NOT the same"
	}
	w.Linef("%s, planned on entry %d at %s: %s decides %s", r.Decision, r.Index, r.At.UTC().Format(time.RFC3339Nano), r.Member, verdict)
	if r.Refused {
		w.Linef("  the State refused the orders then, and the record says that; everything else was compared")
	}
	w.Linef("  recorded   %s", summary(r.Recorded))
	if !r.Same {
		w.Linef("  again      %s", summary(r.Again))
	}
}

func summary(d api.Decision) string {
	text := string(d.Result)
	if d.Code != "" {
		text += " " + string(d.Code)
	}
	text += ": " + d.Text
	for _, c := range d.Candidates {
		if c.Chosen {
			text += "; " + c.VM + " " + c.Source + " -> " + c.Target
		}
	}
	return text
}
