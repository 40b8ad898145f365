// Command evenkeeld is evenkeel's daemon, one on every hypervisor and witness:
//
//	evenkeeld --config /etc/evenkeel/agent.yaml
//
// It measures, replicates, and carries out the moves that were ordered of its
// host. Stopping or losing it touches no VM and no running migration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/config"
)

// version is set by the build.
var version = "0.1.0-dev"

// Exit codes, as of the whole family (docs/reference/json.md).
const (
	exitFailed = 1
	exitUsage  = 64
	exitConfig = 78
)

func main() {
	// The configuration is read at the start only, as yet; the habit of sending
	// SIGHUP for a reload must not end the daemon.
	signal.Ignore(syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "evenkeeld:", err)
		os.Exit(exitCode(err))
	}
}

// run parses the command line and serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	path := config.DefaultPath
	cmd := &cobra.Command{
		Use:           "evenkeeld",
		Short:         "Measure this host's VMs and move those that suffer",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return errConfig{err}
			}
			return serve(cmd.Context(), cfg, stderr)
		},
	}
	cmd.PersistentFlags().StringVar(&path, "config", path, "this host's configuration")
	cmd.AddCommand(relayCommand(&path, stderr))
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errUsage{err} })
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

type (
	errConfig struct{ error }
	errUsage  struct{ error }
)

func (e errConfig) Unwrap() error { return e.error }

func exitCode(err error) int {
	switch {
	case errors.As(err, new(errConfig)):
		return exitConfig
	case errors.As(err, new(errUsage)):
		return exitUsage
	}
	return exitFailed
}
