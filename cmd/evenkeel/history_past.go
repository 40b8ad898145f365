package main

import (
	"context"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// listPast lists what the member that is asked remembers, beyond the State.
func (a *app) listPast(ctx context.Context, req api.PastRequest) error {
	past, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Past, error) { return c.Past(ctx, req) })
	if err != nil {
		return err
	}
	a.notes(past.Head)
	var names []string
	for _, m := range past.Moves {
		names = append(names, m.ID)
	}
	for _, d := range past.Decisions {
		names = append(names, d.ID)
	}
	return a.print(past, func(w *ui.Writer) {
		if req.Decisions {
			w.Table(decisionColumns, decisionRows(past.Decisions))
			return
		}
		w.Table(moveColumns, moveRows(past.Moves))
	}, names)
}
