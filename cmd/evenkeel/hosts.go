package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) hosts() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "hosts",
		Aliases: []string{"host"},
		Short:   "List the hypervisors: what their VMs suffer, what is used, how old the figures are",
		Example: `  evenkeel hosts
  evenkeel hosts -o wide
  evenkeel hosts --json | jq '.items[] | select(.fresh | not) | .name'`,
		Args: noArgs,
	}
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.HostList, error) { return c.Hosts(ctx) })
		if err != nil {
			return err
		}
		a.notes(list.Head)
		var names []string
		for _, h := range list.Items {
			names = append(names, h.Name)
		}
		return a.print(list, func(w *ui.Writer) { w.Table(hostColumns, hostRows(list.Items)) }, names)
	})
	return cmd
}

var hostColumns = []ui.Column{
	{Title: "NAME"},
	{Title: "STATE"},
	{Title: "STEAL", Right: true},
	{Title: "WORST VCPU", Right: true},
	{Title: "CONTENTION", Right: true},
	{Title: "RUNQ P99", Right: true},
	{Title: "CPU USE", Right: true},
	{Title: "CPUS", Right: true},
	{Title: "OVERHEAD", Right: true, Wide: true},
	{Title: "INTERRUPTS", Right: true, Wide: true},
	{Title: "MEASURING", Right: true, Wide: true},
	{Title: "STALLED", Wide: true},
	{Title: "MEMORY", Right: true},
	{Title: "VMS", Right: true},
	{Title: "MOVES", Right: true},
	{Title: "AGE", Right: true},
	{Title: "SOURCE", Wide: true},
	{Title: "EXCESS", Right: true, Wide: true},
	{Title: "VERSION", Wide: true},
	{Title: "ADDRESS", Wide: true},
	{Title: "ID", Wide: true},
	{Title: "MESSAGE"},
}

func hostRows(hosts []api.Host) [][]ui.Cell {
	rows := make([][]ui.Cell, len(hosts))
	for i, h := range hosts {
		seen := func(text string) ui.Cell {
			switch {
			case h.AgeSeconds == nil:
				return ui.Text("")
			case !h.Fresh:
				return ui.Toned(ui.Faint, text)
			}
			return ui.Text(text)
		}
		rows[i] = []ui.Cell{
			ui.Text(h.Name), ui.Toned(hostTone(h.State), string(h.State)),
			seen(ui.Percent(h.StealRatio)), seen(ui.Percent(h.StealRatioMax)), seen(ui.Percent(h.ContentionRatio)), seen(ui.Seconds(h.RunQueueP99)),
			seen(fmt.Sprintf("%.2f", h.CPUUse)), ui.Text(fmt.Sprintf("%g", h.CPUs)), seen(fmt.Sprintf("%.2f", h.CPUOverhead)),
			seen(fmt.Sprintf("%.2f", h.CPUInterrupts)), seen(fmt.Sprintf("%.3f", h.CPUMeasuring)), seen(stalled(h.Pressure)),
			ui.Text(ui.Bytes(h.MemoryUsedBytes) + " of " + ui.Bytes(h.MemoryBytes)),
			ui.Text(fmt.Sprint(h.VMs)), ui.Text(fmt.Sprint(h.MovesInFlight)), ui.Text(ui.SecondsOr(h.AgeSeconds)),
			ui.Text(string(h.Source)), ui.Text(ui.Seconds(h.ExcessSeconds)), ui.Text(h.Version), ui.Text(h.Address), ui.Text(h.ID),
			ui.Text(h.Message),
		}
	}
	return rows
}

func hostTone(s api.HostState) ui.Tone {
	switch s {
	case api.HostOK:
		return ui.Good
	case api.HostSuffering:
		return ui.Bad
	}
	return ui.Warn
}

// stalled tells for what share of time tasks of the host stalled on memory and
// on I/O, "" where the kernel does not account for it.
func stalled(p *api.Pressure) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("memory %s, I/O %s", ui.Percent(p.MemorySomeRatio), ui.Percent(p.IOSomeRatio))
}
