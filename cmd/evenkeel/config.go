package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// validation is the answer of `evenkeel config validate`.
type validation struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	File       string           `json:"file"`
	Valid      bool             `json:"valid"`
	Problems   []config.Problem `json:"problems"`
}

func (a *app) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a host's configuration, show what holds",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	validate := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Tell everything that is wrong with an agent.yaml",
		Long: `Reads an agent.yaml (default ` + config.DefaultPath + `) as the daemon would and tells
everything that is wrong with it. Ends with 78 if anything is.`,
		Args: atMostOne("a file"),
		RunE: a.verb(func(_ context.Context, args []string) error {
			path := config.DefaultPath
			if len(args) == 1 {
				path = args[0]
			}
			return a.validate(path)
		}),
	}
	cmd.AddCommand(validate, a.configShow())
	return cmd
}

// configuration is the answer of `evenkeel config show`.
type configuration struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	File       string         `json:"file"`
	Settings   []config.Shown `json:"settings"`
}

func (a *app) configShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Show every key of an agent.yaml with the value that holds",
		Long: `Reads an agent.yaml (default ` + config.DefaultPath + `) as the daemon would and
shows every key there is with the value that holds, and with --origin whether it
is from the file, a default, or follows from other keys. URLs of webhooks are
not shown.`,
		Example: `  evenkeel config show --origin
  evenkeel config show --json | jq '.settings[] | select(.origin == "file") | .key'`,
		Args: atMostOne("a file"),
	}
	origin := cmd.Flags().Bool("origin", false, "also show where each value comes from")
	cmd.RunE = a.verb(func(_ context.Context, args []string) error {
		path := config.DefaultPath
		if len(args) == 1 {
			path = args[0]
		}
		settings, err := config.Show(path)
		if err != nil {
			return exits{exitConfig, err}
		}
		var keys []string
		for _, s := range settings {
			keys = append(keys, s.Key)
		}
		answer := configuration{APIVersion: api.Version, Kind: "Configuration", File: path, Settings: settings}
		return a.print(answer, func(w *ui.Writer) { configTable(w, path, settings, *origin) }, keys)
	})
	return cmd
}

func configTable(w *ui.Writer, path string, settings []config.Shown, origin bool) {
	columns := []ui.Column{{Title: "KEY"}, {Title: "VALUE"}}
	if origin {
		columns = append(columns, ui.Column{Title: "ORIGIN"})
	}
	var rows [][]ui.Cell
	for _, s := range settings {
		row := []ui.Cell{ui.Text(s.Key), ui.Text(s.Value)}
		if origin {
			from := string(s.Origin)
			if s.Origin == config.OriginFile {
				from = fmt.Sprintf("%s:%d", path, s.Line)
			}
			row = append(row, ui.Text(from))
		}
		rows = append(rows, row)
	}
	w.Table(columns, rows)
}

func (a *app) validate(path string) error {
	_, err := config.Load(path)
	problems, readable := asProblems(err)
	if err != nil && !readable {
		return exits{exitConfig, err}
	}
	v := validation{APIVersion: api.Version, Kind: "Validation", File: path, Valid: err == nil, Problems: problems}
	if err != nil && !a.format.Data() {
		return exits{exitConfig, err}
	}
	if err := a.print(v, func(w *ui.Writer) { w.Linef("%s is valid", path) }, []string{path}); err != nil || v.Valid {
		return err
	}
	return exits{exitConfig, errSilent}
}

func asProblems(err error) (config.Problems, bool) {
	problems, ok := err.(config.Problems)
	if problems == nil {
		problems = config.Problems{}
	}
	return problems, ok
}
