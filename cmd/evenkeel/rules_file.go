package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) rulesCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Which rules are broken now, and which cannot be met?",
		Long: `Names the VMs that are where a rule does not want them, and the rules that the
hosts there are cannot meet. Ends with 3 if there are any of a rule that must
hold.`,
		Example: `  evenkeel rules check
  evenkeel rules check --json | jq '.items[].violations[]'`,
		Args: noArgs,
	}
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		list, err := a.askRules(ctx)
		if err != nil {
			return err
		}
		var lines, ids []string
		wrong := false
		for _, r := range list.Items {
			n := len(lines)
			if r.Unmet != "" {
				lines = append(lines, fmt.Sprintf("%s %s cannot be met: %s", r.ID, r.Name, r.Unmet))
			}
			for _, v := range r.Violations {
				lines = append(lines, fmt.Sprintf("%s on %s: %s", v.VM, v.Host, v.Text))
			}
			if len(lines) > n {
				ids = append(ids, r.ID)
				wrong = wrong || !r.Should
			}
		}
		if len(lines) == 0 {
			lines = []string{fmt.Sprintf("all %d rules hold", len(list.Items))}
		}
		err = a.print(list, func(w *ui.Writer) {
			for _, line := range lines {
				w.Linef("%s", line)
			}
		}, ids)
		if err == nil && wrong {
			return exits{exitBlocked, errSilent}
		}
		return err
	})
	return cmd
}

func (a *app) rulesExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Print the rules as a file for `evenkeel rules apply`",
		Example: `  evenkeel rules export > rules.yaml`,
		Args:    noArgs,
	}
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		list, err := a.askRules(ctx)
		if err != nil {
			return err
		}
		var rules []cluster.RuleSpec
		var names []string
		for _, r := range list.Items {
			spec, err := r.Spec()
			if r.Metadata {
				continue // it travels with its VM
			}
			if err != nil {
				return err
			}
			rules, names = append(rules, spec), append(names, r.Name)
		}
		return a.print(list, func(w *ui.Writer) {
			for line := range strings.Lines(string(config.WriteRules(rules))) {
				w.Linef("%s", strings.TrimSuffix(line, "\n"))
			}
		}, names)
	})
	return cmd
}

func (a *app) rulesApply() *cobra.Command {
	var req api.RulesRequest
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make the rules those of a file, all or none of them",
		Long: `Makes the rules those of a file, as ` + "`evenkeel rules export`" + ` writes it, or - for the
standard input: rules of other names are removed, those of the same name
changed where they differ. With --dry-run it only says what would be.`,
		Example: `  evenkeel rules apply rules.yaml --dry-run
  git show HEAD:rules.yaml | evenkeel rules apply -`,
		Args: oneArg("a file of rules, or -; docs/rules.md shows one"),
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		data, err := a.readFile(args[0])
		if err != nil {
			return err
		}
		rules, err := config.ParseRules(args[0], data)
		if err != nil {
			return err
		}
		req.Whole = true
		for _, r := range rules {
			req.Set = append(req.Set, api.RuleChange{RuleSpec: api.RuleSpecOf(r)})
		}
		return a.changeRules(ctx, req)
	})
	return cmd
}

// readFile reads no more than a file of ours may have, and a byte.
func (a *app) readFile(path string) ([]byte, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, exits{exitConfig, err}
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, config.MaxFile+1))
	if err != nil {
		return nil, exits{exitConfig, fmt.Errorf("%s: %w", path, err)}
	}
	return data, nil
}
