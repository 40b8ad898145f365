package main

import (
	"context"

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
		Short: "Check a host's configuration",
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
	cmd.AddCommand(validate)
	return cmd
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
