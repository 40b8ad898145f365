package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
)

// Exit codes, as evenkeel's own.
const (
	exitFailed = 1
	exitUsage  = 64
)

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	var command commandError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &command):
		return command.ExitCode()
	}
	fmt.Fprintln(stderr, "evenkeel-lab:", err)
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

type usageError struct{ error }

// commandError is of the command that exec ran, which has itself said why.
type commandError struct{ *exec.ExitError }

func newRoot() *cobra.Command {
	var opts lab.Options
	root := &cobra.Command{
		Use:   "evenkeel-lab",
		Short: "Build a fleet of hypervisors on this machine to try evenkeel on",
		Long: `evenkeel-lab builds hypervisors, a witness and busy guests on one machine, as
root: every host has namespaces, a share of the CPUs, a libvirtd and an
evenkeeld of its own. It changes nothing on the machine outside of them, and
down takes everything away again.`,
		Example: `  evenkeel-lab up                            four busy guests on hv1, none on hv2
  evenkeel-lab exec hv1 -- evenkeel status
  evenkeel-lab status
  evenkeel-lab down`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2 // letters
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&opts.Name, "name", "lab", "name of the lab, if there is more than one on this machine")
	flags.StringVar(&opts.StateDir, "state-dir", "/var/lib/evenkeel-lab", "directory for all that the lab makes")
	root.AddCommand(newUp(&opts), newDown(&opts), newStatus(&opts), newExec(&opts), newRun(&opts), newDemo(&opts))
	return root
}

// buildFlags are those of the commands that build a lab.
func buildFlags(cmd *cobra.Command, opts *lab.Options) {
	flags := cmd.Flags()
	flags.StringVar(&opts.CacheDir, "cache-dir", "/var/cache/evenkeel-lab", "directory that keeps the guests' kernel")
	flags.StringVar(&opts.BinDir, "bin-dir", "", "directory of evenkeeld, evenkeel and evenkeel-guest (default: this program's)")
	flags.StringVar(&opts.Kernel, "kernel", "", "kernel for the guests (default: Debian's cloud kernel, fetched once)")
	flags.BoolVar(&opts.NoAgents, "no-agents", false, "build the fleet without evenkeeld")
	flags.BoolVar(&opts.Keep, "keep", false, "leave a lab that could not be built as it is, to be looked at")
	flags.DurationVar(&opts.Timeout, "timeout", 0, "give up building after this long (default 5m)")
}

// noSuchCommand refuses what is left when no command was recognised.
func noSuchCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		text += ", did you mean " + strings.Join(near, " or ")
	}
	return usageError{errors.New(text + "; see evenkeel-lab --help")}
}

func exactArgs(n int, usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("usage: %s %s", cmd.CommandPath(), usage)}
		}
		return nil
	}
}
