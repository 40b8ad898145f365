package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// Examples come first in a help: they are what one looks for.
const helpTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

// usageTemplate is cobra's without the examples and aliases.
const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}

Commands:{{range $cmds}}{{if or .IsAvailableCommand (eq .Name "help")}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{else}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of all commands:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

Use "{{.CommandPath}} [command] --help" for more about a command.{{end}}
`

// root is the tree of commands.
func (a *app) root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evenkeel",
		Short: "Keep VMs from starving: see, explain and steer evenkeel's decisions",
		Long: `evenkeel asks a daemon, evenkeeld, how the fleet is, explains what was decided
and says what may be done. Any member of the cluster takes any command.`,
		Example: `  evenkeel status                 how is the fleet, and what happens next?
  evenkeel top                    where does it hurt, and who causes it?
  evenkeel vms                    who waits for a CPU?
  evenkeel plan                   what would be moved now?
  evenkeel explain latest         why was that decided, or why did nothing move?
  evenkeel mode auto              let evenkeel move VMs
  evenkeel pause --for 2h         let it rest`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&a.target.Addr, "addr", "", "`HOST[:PORT]` of any member [EVENKEEL_ADDR]")
	f.StringVar(&a.target.CACert, "cacert", "", "the cluster's CA certificate, a `FILE` [EVENKEEL_CACERT]")
	f.StringVar(&a.target.ClientCert, "client-cert", "", "an operator's certificate, a `FILE` [EVENKEEL_CLIENT_CERT]")
	f.StringVar(&a.target.ClientKey, "client-key", "", "its key, a `FILE` [EVENKEEL_CLIENT_KEY]")
	f.StringVar(&a.target.Socket, "socket", api.DefaultSocket, "`PATH` of this host's daemon")
	f.StringVarP(&a.output, "output", "o", string(ui.Table), "`FORMAT`: "+strings.Join(ui.Formats(), ", ")+" [EVENKEEL_OUTPUT]")
	f.BoolVar(&a.json, "json", false, "short for --output json")
	f.DurationVar(&a.timeout, "timeout", api.DefaultTimeout, "give up a request after this `TIME`")
	cmd.SetHelpTemplate(helpTemplate)
	cmd.SetUsageTemplate(usageTemplate)
	cmd.AddGroup(
		&cobra.Group{ID: "see", Title: "See and understand:"},
		&cobra.Group{ID: "act", Title: "Say what may be done:"},
		&cobra.Group{ID: "care", Title: "Set up and look after:"},
	)
	cmd.SetHelpCommandGroupID("care")
	cmd.SetCompletionCommandGroupID("care")
	cmd.AddCommand(
		group("see", a.status(), a.top(), a.hosts(), a.vms(), a.plan(), a.explain(), a.replay(), a.simulate(), a.history(), a.report(), a.events())...,
	)
	cmd.AddCommand(
		group("act", a.mode(), a.pause(), a.resume(), a.migrate(), a.migrations(), a.cordon(), a.uncordon(), a.drain(), a.undrain(), a.rules(), a.policy())...,
	)
	cmd.AddCommand(
		group("care", a.doctor(), a.cluster(), a.certs(), a.config(), a.supportBundle(), a.version())...,
	)
	cmd.AddCommand(a.man())
	a.completes(cmd)
	return cmd
}

func group(id string, commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.GroupID = id
	}
	return commands
}

// noArgs refuses what looks like a misspelt subcommand, and says which was
// probably meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // cobra sets it at the root only
	text := fmt.Sprintf("%s: unknown command or argument %q", cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	} else {
		text += "; see `" + cmd.CommandPath() + " --help`"
	}
	return fmt.Errorf("%s", text)
}
