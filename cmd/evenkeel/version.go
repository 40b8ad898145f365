package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// versions is the answer of `evenkeel version`.
type versions struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Client     string             `json:"client"`
	Go         string             `json:"go"`
	Server     *api.ServerVersion `json:"server"` // null if no daemon answers
	Message    string             `json:"message,omitempty"`
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show this command's version and the daemon's",
		Args:  noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error {
			v := versions{APIVersion: api.Version, Kind: "Versions", Client: version, Go: runtime.Version()}
			server, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.ServerVersion, error) { return c.Version(ctx) })
			if err != nil {
				v.Message = err.Error() // the client's version is worth knowing without a daemon
			} else {
				v.Server = server
			}
			return a.print(v, func(w *ui.Writer) {
				w.Linef("evenkeel   %s (%s)", v.Client, v.Go)
				if v.Server != nil {
					w.Linef("evenkeeld  %s (%s) on %s", v.Server.Version, v.Server.Go, v.Server.Member)
				} else {
					w.Linef("evenkeeld  %s", v.Message)
				}
			}, []string{v.Client})
		}),
	}
}
