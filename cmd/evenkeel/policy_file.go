package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/config"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func (a *app) policyExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Print the settings as a file for `evenkeel policy apply`",
		Example: `  evenkeel policy export > policy.yaml`,
		Args:    noArgs,
	}
	cmd.RunE = a.verb(func(ctx context.Context, _ []string) error {
		s, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.Settings, error) { return c.Settings(ctx) })
		if err != nil {
			return err
		}
		a.notes(s.Head)
		var list []config.Setting
		for _, k := range api.Knobs() {
			if value, ok := s.Settings[k.Name]; ok {
				list = append(list, config.Setting{Name: k.Name, Value: strings.ReplaceAll(k.Text(value), " ", "")})
			}
		}
		return a.print(s, func(w *ui.Writer) {
			for line := range strings.Lines(string(config.WritePolicy(list))) {
				w.Linef("%s", strings.TrimSuffix(line, "\n"))
			}
		}, api.SettingNames())
	})
	return cmd
}

func (a *app) policyApply() *cobra.Command {
	var req api.SettingsRequest
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Change settings to those of a file, all or none of them",
		Long: `Changes settings to those of a file, as ` + "`evenkeel policy export`" + ` writes it, or - for
the standard input. Settings that the file does not name stay as they are, for a
newer version may have more of them. With --dry-run it says what would be, and
plays the last 24 hours under them like ` + "`evenkeel policy set --dry-run`" + `.`,
		Example: `  evenkeel policy apply policy.yaml --dry-run
  git show HEAD:policy.yaml | evenkeel policy apply -`,
		Args: oneArg("a file of settings, or -; `evenkeel policy export` prints one"),
	}
	actFlags(cmd, &req.Act)
	cmd.RunE = a.verb(func(ctx context.Context, args []string) error {
		data, err := a.readFile(args[0])
		if err != nil {
			return err
		}
		settings, err := config.ParsePolicy(args[0], data, api.SettingNames(), func(s config.Setting) error {
			_, err := api.Turn(cluster.DefaultSettings(), map[string]string{s.Name: s.Value})
			return err
		})
		if err != nil {
			return err
		}
		req.Set = map[string]string{}
		var words []string
		for _, s := range settings {
			req.Set[s.Name] = s.Value
			words = append(words, s.Name+"="+s.Value)
		}
		if req.DryRun {
			return a.tryPolicy(ctx, req, words)
		}
		return a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) { return c.SetSettings(ctx, req) })
	})
	return cmd
}
