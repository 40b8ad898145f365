package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
)

const defaultScenario = "demo"

func newUp(opts *lab.Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up [SCENARIO]",
		Short: "Build a lab and leave it running",
		Long: `Build a lab and leave it running. SCENARIO is a file or the name of a built-in
scenario; without one it is demo: four busy guests on hv1, none on hv2, and
evenkeel only recommends.`,
		Args: atMostOneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := bringUp(cmd, scenarioArg(args), *opts)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), l.Status(), time.Now())
		},
	}
	buildFlags(cmd, opts)
	return cmd
}

func newDown(opts *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the lab and remove everything that it made",
		Long: `End the lab and remove everything that it made, also after a crash or in the
middle of it. Only the cache with the guests' kernel stays. Without a lab it
does nothing.`,
		Args: exactArgs(0, "(no arguments)"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lab.Down(cmd.Context(), *opts)
		},
	}
}

// bringUp builds the lab and says on stderr how it goes.
func bringUp(cmd *cobra.Command, scenario string, opts lab.Options) (*lab.Lab, error) {
	s, err := lab.LoadScenario(scenario)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	opts.Progress = func(step string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%5.1f s  %s\n", time.Since(begin).Seconds(), step)
	}
	l, err := lab.Up(cmd.Context(), s, opts)
	if err != nil {
		return nil, err
	}
	opts.Progress("up")
	return l, nil
}

func atMostOneScenario(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("usage: %s [SCENARIO]", cmd.CommandPath())}
	}
	return nil
}

func scenarioArg(args []string) string {
	if len(args) == 0 {
		return defaultScenario
	}
	return args[0]
}
