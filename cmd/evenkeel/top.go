package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) top() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Where does it hurt? Hosts, their VMs, one VM and who makes it wait, as it goes",
		Long: `Shows the hosts, the VMs of one and all about a VM, what hurts most first, and goes
on until q. ? tells the keys. On a host that is alone it begins with its VMs.
Off a terminal, and with --once, it prints one table of the VMs; with -o json one
object each time it looks.`,
		Example: `  evenkeel top
  evenkeel top --once
  evenkeel top --once --json | jq '.vms[] | select(.contention_ratio > 0.05) | .name'`,
		Args: noArgs,
	}
	var once bool
	var every time.Duration
	cmd.Flags().BoolVar(&once, "once", false, "look once, print, and end")
	cmd.Flags().DurationVar(&every, "interval", 2*time.Second, "`TIME` between looks")
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		if every < 100*time.Millisecond {
			return usage{errors.New("--interval is " + every.String() + ", must be 100ms or more")}
		}
		if a.format.Data() {
			return a.repeat(ctx, &watch{!once, every}, func(ctx context.Context) error { return a.topOnce(ctx, !once) })
		}
		if once || a.format == ui.Name || !ui.Terminal(a.stdin) || !ui.Terminal(a.stdout) || a.env("TERM") == "dumb" {
			return a.topOnce(ctx, false)
		}
		return a.topOn(ctx, every)
	})
	return cmd
}

func (a *app) lookAtTop(ctx context.Context) (*api.Top, error) {
	return ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Top, error) { return c.Top(ctx) })
}

// topOnce prints one look: as data, or as the table of VMs by what they suffer.
func (a *app) topOnce(ctx context.Context, more bool) error {
	t, err := a.lookAtTop(ctx)
	if err != nil {
		return err
	}
	a.notes(t.Head)
	vms := topVMs.sorted(t.VMs, order{})
	var names []string
	for _, vm := range vms {
		names = append(names, vm.Name)
	}
	return a.show(&watch{on: more}, t, func(w *ui.Writer) { w.Table(vmColumns, vmRows(vms)) }, names)
}

// topOn draws on the terminal until q or an interrupt.
func (a *app) topOn(ctx context.Context, every time.Duration) error {
	m := &topModel{every: every, past: newLookback(sparksOf(a.env)), width: 80, height: 24}
	m.look = func() tea.Msg {
		t, err := a.lookAtTop(ctx)
		return lookedMsg{t, err, time.Now()}
	}
	m.explain = func(subject string) tea.Cmd {
		return func() tea.Msg {
			text, err := a.explained(ctx, subject)
			return explainedMsg{subject, text, err}
		}
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(a.stdin), tea.WithOutput(a.stdout)).Run()
	if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// explained is what `evenkeel explain` says, in colour.
func (a *app) explained(ctx context.Context, subject string) (string, error) {
	e, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Explanation, error) { return c.Explain(ctx, subject) })
	if err != nil {
		return "", err
	}
	return written(func(w *ui.Writer) { explanation{w, e}.print() }), nil
}

// written is what would be printed, with colours: the terminal's renderer takes
// away what NO_COLOR or the terminal does not want.
func written(text func(*ui.Writer)) string {
	var b bytes.Buffer
	if err := (ui.Printer{Out: &b, Format: ui.Table, Colour: true}).Print(nil, text, nil); err != nil {
		return err.Error() // a buffer takes everything
	}
	return strings.TrimRight(b.String(), "\n")
}
