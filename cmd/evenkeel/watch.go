package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// watch says whether to go on asking.
type watch struct {
	on    bool
	every time.Duration
}

func watchFlags(cmd *cobra.Command) *watch {
	w := &watch{}
	cmd.Flags().BoolVarP(&w.on, "watch", "w", false, "go on until interrupted; JSON comes one object a line")
	cmd.Flags().DurationVar(&w.every, "interval", defaultInterval, "`TIME` between looks under --watch")
	return w
}

const defaultInterval = time.Second

const clearScreen = "\x1b[H\x1b[2J"

// repeat runs f once, or until ctx ends. An interrupt is how a watch ends.
func (a *app) repeat(ctx context.Context, w *watch, f func(context.Context) error) error {
	if !w.on {
		return f(ctx)
	}
	ticker := time.NewTicker(max(w.every, 100*time.Millisecond))
	defer ticker.Stop()
	for {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// show prints an answer as a whole: under --watch JSON as one line, and on a
// terminal in place of the last one.
func (a *app) show(w *watch, answer any, text func(*ui.Writer), names []string) error {
	if !w.on {
		return a.print(answer, text, names)
	}
	if a.format == ui.JSON {
		return ui.WriteLine(a.stdout, answer)
	}
	return a.print(answer, func(out *ui.Writer) {
		if ui.Terminal(a.stdout) && a.env("TERM") != "dumb" {
			out.Raw(clearScreen)
		}
		text(out)
		if !ui.Terminal(a.stdout) {
			out.Line("")
		}
	}, names)
}
