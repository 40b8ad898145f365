package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) vms() *cobra.Command {
	last := &remembered{a: a}
	cmd := &cobra.Command{
		Use:     "vms",
		Aliases: []string{"vm"},
		Short:   "List the VMs: where they are, how long they wait for a CPU",
		Long: `Lists the VMs. With --last-known it lists those that a host had when it was last
heard, and until a week before, as the voters remember them: with --xml how each
was defined, without secrets, so that it can be defined elsewhere. Make sure that
it runs nowhere before you start it.`,
		Example: `  evenkeel vms
  evenkeel vms show db-03
  evenkeel vms --json | jq '.items[] | {name, host, steal_ratio}'
  evenkeel vms --last-known hv2
  evenkeel vms --last-known hv2 --xml db-03 > db-03.xml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if last.host != "" {
				return nil
			}
			return noArgs(cmd, args)
		},
	}
	cmd.Flags().StringVar(&last.host, "last-known", "", "what a `HOST` had when last heard; name VMs to see these alone")
	cmd.Flags().BoolVar(&last.xml, "xml", false, "with --last-known: print the definitions")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		if err := last.check(args); err != nil {
			return err
		}
		if last.host != "" {
			return last.run(ctx, args)
		}
		list, err := a.askVMs(ctx)
		if err != nil {
			return err
		}
		a.notes(list.Head)
		var names []string
		for _, vm := range list.Items {
			names = append(names, vm.Name)
		}
		return a.print(list, func(w *ui.Writer) { w.Table(vmColumns, vmRows(list.Items)) }, names)
	})
	cmd.AddCommand(a.vmsShow(), a.vmsSet())
	return cmd
}

func (a *app) askVMs(ctx context.Context) (*api.VMList, error) {
	return ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.VMList, error) { return c.VMs(ctx) })
}

func (a *app) vmsShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME|UUID",
		Short: "Show all that is known of one VM",
		Args:  oneArg("a VM's name or UUID; `evenkeel vms` lists them"),
		RunE: a.verb(func(ctx context.Context, args []string) error {
			list, err := a.askVMs(ctx)
			if err != nil {
				return err
			}
			vms := slices.DeleteFunc(list.Items, func(vm api.VM) bool { return vm.Name != args[0] && vm.UUID != args[0] })
			switch len(vms) {
			case 0:
				return fmt.Errorf("no VM %.80q; `evenkeel vms` lists them", args[0])
			case 1:
			default:
				return fmt.Errorf("%d VMs are called %.80q; give a UUID, such as %s", len(vms), args[0], vms[0].UUID)
			}
			list.Items = vms
			a.notes(list.Head)
			return a.print(list, func(w *ui.Writer) { vmText(w, vms[0], list.Head) }, []string{vms[0].Name})
		}),
	}
}

// oneArg wants exactly one argument and says what it is.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one argument, %s; there are %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

var vmColumns = []ui.Column{
	{Title: "NAME"},
	{Title: "HOST"},
	{Title: "STATE"},
	{Title: "VCPUS", Right: true},
	{Title: "STEAL", Right: true},
	{Title: "WORST VCPU", Right: true},
	{Title: "CONTENTION", Right: true},
	{Title: "RUNQ P99", Right: true},
	{Title: "DEMAND", Right: true},
	{Title: "MEMORY", Right: true},
	{Title: "AGE", Right: true},
	{Title: "RAN", Right: true, Wide: true},
	{Title: "WAITED", Right: true, Wide: true},
	{Title: "WAITS", Right: true, Wide: true},
	{Title: "BEHIND", Wide: true},
	{Title: "SOURCE", Wide: true},
	{Title: "DISK LOCK", Wide: true},
	{Title: "UUID", Wide: true},
	{Title: "MESSAGE"},
}

func vmRows(vms []api.VM) [][]ui.Cell {
	rows := make([][]ui.Cell, len(vms))
	for i, vm := range vms {
		rows[i] = []ui.Cell{
			ui.Text(vm.Name), ui.Text(vm.Host), ui.Toned(vmTone(vm.State), string(vm.State)), ui.Text(fmt.Sprint(vm.VCPUs)),
			ui.Text(ui.PercentOr(vm.StealRatio)), ui.Text(ui.PercentOr(vm.StealRatioMax)), ui.Text(ui.PercentOr(vm.ContentionRatio)), ui.Text(p99(vm)), ui.Text(cpus(vm.CPUDemand)),
			ui.Text(ui.Bytes(vm.MemoryBytes)), ui.Text(ui.SecondsOr(vm.AgeSeconds)),
			ui.Text(total(vm.VCPURunNSTotal)), ui.Text(total(vm.VCPUWaitNSTotal)), ui.Text(number(vm.VCPUWaitsTotal)),
			ui.Text(behind(vm)), ui.Text(string(vm.Source)), ui.Text(string(vm.DiskLock)), ui.Text(vm.UUID), ui.Text(vm.Message),
		}
	}
	return rows
}

func vmTone(s api.VMState) ui.Tone {
	switch s {
	case api.VMRunning:
		return ui.Good
	case api.VMMoving:
		return ui.Strong
	case api.VMQuarantined, api.VMDuplicate:
		return ui.Bad
	}
	return ui.Warn
}

func p99(vm api.VM) string {
	if vm.RunQueueLatency == nil {
		return ""
	}
	return ui.Seconds(vm.RunQueueLatency.P99)
}

func cpus(f *float64) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%.2f", *f)
}

// total prints a counter of nanoseconds as seconds of CPU time.
func total(ns *uint64) string {
	if ns == nil {
		return ""
	}
	return fmt.Sprintf("%.1f s", float64(*ns)/1e9)
}

func number(n *uint64) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

func vmText(w *ui.Writer, vm api.VM, h api.Head) {
	line := func(name, format string, args ...any) {
		w.Field(10, name, w.Paint(ui.Plain, fmt.Sprintf(format, args...)))
	}
	line("name", "%s", vm.Name)
	line("uuid", "%s", vm.UUID)
	line("host", "%s", vm.Host)
	line("state", "%s", strings.TrimSuffix(string(vm.State)+": "+vm.Message, ": "))
	line("size", "%d vCPUs, %s", vm.VCPUs, ui.Bytes(vm.MemoryBytes))
	line("disk lock", "%s", vm.DiskLock)
	if vm.Block != nil {
		line("disks", "%s", disksText(*vm.Block))
	}
	if vm.Memory != nil {
		line("memory", "%s", memoryText(*vm.Memory))
	}
	if n := vm.Network; n != nil {
		line("network", "received %s/s, sent %s/s", ui.Bytes(int64(n.ReceivedBytesPerSecond)), ui.Bytes(int64(n.SentBytesPerSecond)))
	}
	line("steal", "%s, worst vCPU %s, measured by %s, %s old", or(ui.PercentOr(vm.StealRatio)), or(ui.PercentOr(vm.StealRatioMax)), vm.Source, or(ui.SecondsOr(vm.AgeSeconds)))
	line("contention", "%s, worst vCPU %s", or(ui.PercentOr(vm.ContentionRatio)), or(ui.PercentOr(vm.ContentionRatioMax)))
	if text := behind(vm); text != "" {
		line("waits", "%s", text)
	}
	if text := remark(vm); text != "" {
		line("", "%s", text)
	}
	line("demand", "%s CPUs%s", or(cpus(vm.CPUDemand)), marks(vm))
	if l := vm.RunQueueLatency; l != nil {
		line("run queue", "p50 %s, p99 %s, p99.9 %s", ui.Seconds(l.P50), ui.Seconds(l.P99), ui.Seconds(l.P999))
	}
	line("counters", "ran %s, waited %s in %s waits since %s", or(total(vm.VCPURunNSTotal)), or(total(vm.VCPUWaitNSTotal)), or(number(vm.VCPUWaitsTotal)), or(ui.Clock(vm.Epoch.Time)))
	line("threads", "%s", or(strings.Trim(fmt.Sprint(vm.VCPUThreads), "[]")))
	if r := vm.Rule; r != nil {
		line("rule", "%s, says %s %s%s", r.Text, r.By, ui.Ago(r.Since.Time, h.Now.Time), because(r.Reason))
	}
	if !vm.MovedAt.IsZero() {
		line("moved", "%s", ui.Ago(vm.MovedAt.Time, h.Now.Time))
	}
}

// marks says how a VM's demand is to be read.
func marks(vm api.VM) string {
	var text string
	if vm.CPUQuota != nil {
		text += fmt.Sprintf(", its quota allows %.2f", *vm.CPUQuota)
	}
	if vm.CPUShares != nil {
		text += fmt.Sprintf(", %.4g times the usual shares", *vm.CPUShares)
	}
	if vm.Poller {
		text += "; its guest polls: what it runs is no demand for work"
	}
	if vm.Settling {
		text += "; settling: no reason to move anything yet"
	}
	return text
}

// or shows what is not known as a dash.
func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
