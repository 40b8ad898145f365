package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) rules() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rules",
		Aliases: []string{"rule"},
		Short:   "List or change the rules about where VMs may be, and what they are",
		Long: `Lists the rules that every move is held against, evenkeel's own as well as those
that are asked for; docs/rules.md explains the kinds. Those that stand in the
libvirt metadata of VMs are among them.`,
		Example: `  evenkeel rules
  evenkeel rules add db-apart anti-affinity --vms 'db-*'
  evenkeel rules check
  evenkeel rules export > rules.yaml`,
		Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.listRules(ctx) }),
	}
	list := &cobra.Command{
		Use: "list", Short: "List the rules", Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.listRules(ctx) }),
	}
	cmd.AddCommand(list, a.rulesAdd(), a.rulesRemove(), a.rulesCheck(), a.rulesExport(), a.rulesApply())
	return cmd
}

func (a *app) askRules(ctx context.Context) (*api.RuleList, error) {
	list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.RuleList, error) { return c.Rules(ctx) })
	if err == nil {
		a.notes(list.Head)
	}
	return list, err
}

func (a *app) listRules(ctx context.Context) error {
	list, err := a.askRules(ctx)
	if err != nil {
		return err
	}
	columns := []ui.Column{{Title: "ID"}, {Title: "NAME"}, {Title: "RULE"}, {Title: "VMS", Right: true}, {Title: "STATE"}, {Title: "BY"}, {Title: "REASON"}}
	var rows [][]ui.Cell
	var ids []string
	for _, r := range list.Items {
		state := ui.Toned(ui.Good, "holds")
		switch {
		case r.Unmet != "":
			state = ui.Toned(ui.Bad, "cannot hold")
		case len(r.Violations) > 0:
			state = ui.Toned(ui.Warn, fmt.Sprintf("%d broken", len(r.Violations)))
		case r.Members == 0:
			state = ui.Toned(ui.Faint, "no VM")
		}
		if !r.Expires.IsZero() {
			state = ui.Toned(ui.Warn, "gone, until "+ui.Clock(r.Expires.Time))
		}
		rows = append(rows, []ui.Cell{ui.Text(r.ID), ui.Text(r.Name), ui.Text(r.Text), ui.Text(fmt.Sprint(r.Members)), state, ui.Text(r.By), ui.Text(r.Reason)})
		ids = append(ids, r.ID)
	}
	return a.print(list, func(w *ui.Writer) {
		if len(rows) == 0 {
			w.Line("no rules; `evenkeel rules add --help` shows how to make one")
			return
		}
		w.Table(columns, rows)
	}, ids)
}

func (a *app) rulesAdd() *cobra.Command {
	var req api.RulesRequest
	var rule api.RuleSpec
	var cpus string
	cmd := &cobra.Command{
		Use:   "add NAME KIND --vms PATTERN,...",
		Short: "Make a rule",
		Long: `Makes a rule. KIND is

affinity       the VMs run on one host
anti-affinity  no two of them run on one host
spread         no zone has more of them than its even share
pin            they run on the --hosts only
ignore         they stay where they are
demand         they are taken to want --cpus, --bound exactly, at-least or at-most
class          they are --class latency, normal or batch

VMs are named by patterns, with * for any characters, or by UUIDs; so are hosts,
or by zone=NAME.`,
		Example: `  evenkeel rules add db-apart anti-affinity --vms 'db-*' --reason 'replicas'
  evenkeel rules add licence pin --vms 'ora*' --hosts hv1,zone=b --should
  evenkeel rules add night class --vms 'batch-*' --class batch`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%s takes a name and a kind, such as db-apart anti-affinity", cmd.CommandPath())
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	cmd.Flags().StringSliceVar(&rule.VMs, "vms", nil, "`PATTERN`s of the names of the VMs that it is for, or UUIDs")
	cmd.Flags().StringSliceVar(&rule.Hosts, "hosts", nil, "`PATTERN`s of hosts' names, or zone=NAME; for pin")
	cmd.Flags().BoolVar(&rule.Should, "should", false, "bend the rule where that is worth it")
	cmd.Flags().StringVar(&cpus, "cpus", "", "`N` CPUs; for demand")
	cmd.Flags().StringVar(&rule.Bound, "bound", "", "exactly, at-least or at-most; for demand")
	cmd.Flags().StringVar(&rule.Class, "class", "", "latency, normal or batch; for class")
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		rule.Name, rule.Kind, rule.Reason = args[0], args[1], req.Reason
		if cpus != "" {
			n, err := config.ParseCPUs(cpus)
			if err != nil {
				return usage{fmt.Errorf("--cpus: %w", err)}
			}
			rule.CPUs = n.CPUs()
		}
		if rule.Kind == string(cluster.RuleDemand) && rule.Bound == "" {
			rule.Bound = string(cluster.BoundExactly)
		}
		spec, err := rule.Spec()
		if err == nil {
			err = spec.Check()
		}
		if r := cluster.RefusalOf(err); r != nil {
			return usage{errors.New(r.Text)}
		} else if err != nil {
			return usage{err}
		}
		req.Set = []api.RuleChange{{RuleSpec: rule}}
		return a.changeRules(ctx, req)
	})
	return cmd
}

func (a *app) rulesRemove() *cobra.Command {
	var req api.RulesRequest
	cmd := &cobra.Command{
		Use:     "rm ID|NAME...",
		Aliases: []string{"remove"},
		Short:   "Remove rules, all or none of them",
		Example: `  evenkeel rules rm db-apart
  evenkeel rules rm r-3 r-4 --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s takes a rule's id or name; `evenkeel rules` lists them", cmd.CommandPath())
			}
			return nil
		},
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		req.Remove = args
		return a.changeRules(ctx, req)
	})
	return cmd
}

// changeRules says what was changed, a line for each rule.
func (a *app) changeRules(ctx context.Context, req api.RulesRequest) error {
	change, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetRules(ctx, req) })
	if err != nil {
		return err
	}
	a.notes(change.Head)
	lines := strings.Split(change.Text, "\n")
	return a.print(change, func(w *ui.Writer) {
		if !change.Done {
			w.Line("dry run, nothing was changed:")
		}
		for _, line := range lines {
			w.Linef("%s", line)
		}
	}, lines)
}
