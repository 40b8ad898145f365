package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func words(list []string) string { return strings.Join(list, " ") }

// followed is one line of a watched list: key changes when it is worth
// printing again.
type followed struct {
	id, key string
	item    any
	text    string
}

// follow prints each move or decision when it appears and when it changes:
// oldest first, as JSON one object a line.
func (a *app) follow(ctx context.Context, w *watch, req api.HistoryRequest, decisions bool) error {
	if a.format == ui.YAML {
		return usage{fmt.Errorf("--watch prints lines; use --output table or json")}
	}
	said := map[string]string{}
	return a.repeat(ctx, w, func(ctx context.Context) error {
		lines, err := a.lines(ctx, req, decisions)
		if err != nil {
			return err
		}
		present := make(map[string]string, len(lines))
		for _, l := range slices.Backward(lines) {
			present[l.id] = l.key
			if said[l.id] == l.key {
				continue
			}
			if err := a.say(l); err != nil {
				return err
			}
		}
		said = present // what is no longer listed does not come back
		return nil
	})
}

func (a *app) say(l followed) error {
	if a.format == ui.JSON {
		return ui.WriteLine(a.stdout, l.item)
	}
	return a.print(l.item, func(w *ui.Writer) { w.Line(ui.Clean(l.text)) }, []string{l.id})
}

func (a *app) lines(ctx context.Context, req api.HistoryRequest, decisions bool) ([]followed, error) {
	var out []followed
	if decisions {
		list, err := a.askDecisions(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, d := range list.Items {
			text := fmt.Sprintf("%s  %s  %s %s %s %s", ui.Clock(d.LastAt.Time), d.ID, d.Result, d.Code, words(d.Moves), d.Text)
			out = append(out, followed{d.ID, fmt.Sprint(d.Repeated), d, text})
		}
		return out, nil
	}
	list, err := a.askMoves(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, m := range list.Items {
		out = append(out, followed{m.ID, moveKey(m), m, moveLine(list.Now, m)})
	}
	return out, nil
}

// moveKey changes with the state and with every tenth of the progress.
func moveKey(m api.Move) string {
	return fmt.Sprintf("%s %s %v %.0f", m.State, m.Verdict, m.AbortAsked, m.Progress.Ratio*10)
}

func moveLine(now api.Time, m api.Move) string {
	text := fmt.Sprintf("%s  %s  %s  %s -> %s  %s", ui.Clock(now.Time), m.ID, m.VM, m.Source, m.Target, outcome(m))
	if m.State == "running" && m.Progress.TotalBytes > 0 {
		text += fmt.Sprintf("  %.0f %%, %s left", m.Progress.Ratio*100, ui.Bytes(m.Progress.RemainingBytes))
	}
	if m.Why != "" {
		text += "  " + m.Why
	}
	return text
}
