package main

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
)

func newExec(opts *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "exec HOST -- COMMAND [ARGUMENT]...",
		Short: "Run a command inside a host",
		Example: `  evenkeel-lab exec hv1 -- virsh list
  evenkeel-lab exec hv2 -- evenkeel status`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || cmd.ArgsLenAtDash() != 1 && cmd.ArgsLenAtDash() != -1 {
				return usageError{fmt.Errorf("usage: %s HOST -- COMMAND [ARGUMENT]... (a host and a command)", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Open(*opts)
			if err != nil {
				return err
			}
			command := l.Command(cmd.Context(), args[0], args[1:]...)
			command.Stdin, command.Stdout, command.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			// On a terminal the command has had the Ctrl-C itself, and may
			// go on, as a shell does. A SIGTERM is passed on.
			command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
			err = command.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.Exited() {
				return commandError{exit}
			}
			return err
		},
	}
}
