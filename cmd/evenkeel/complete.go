package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// completeWithin bounds what a shell waits for: whoever presses Tab has no
// patience for a daemon that is away.
const completeWithin = 2 * time.Second

// lister lists what an argument may be, each with what a person should know of
// it.
type lister func(ctx context.Context, a *app) ([]cobra.Completion, error)

// completedArgs says what the arguments of commands are, completedFlags what the
// values of flags are.
var (
	completedArgs = map[string][]lister{
		"migrate":                 {vmNames, hostNames},
		"cordon":                  {hostNames},
		"uncordon":                {hostNames},
		"drain":                   {hostNames},
		"undrain":                 {hostNames},
		"vms show":                {vmNames},
		"vms set":                 {vmNames},
		"explain":                 {explainable},
		"replay":                  {decisionIDs},
		"migrations watch":        {moveIDs},
		"migrations cancel":       {moveIDs},
		"migrations resolve":      {moveIDs},
		"policy set":              {settingNames},
		"cluster remove":          {memberNames},
		"cluster transfer-leader": {memberNames},
	}
	completedFlags = map[string]map[string]lister{
		"vms":                {"last-known": hostNames},
		"history":            {"vm": vmNames},
		"doctor":             {"vm": vmNames},
		"migrations resolve": {"running-on": hostNames},
	}
)

// completes gives the tree of commands its completions.
func (a *app) completes(root *cobra.Command) {
	for path, list := range completedArgs {
		a.mustFind(root, path).ValidArgsFunction = a.complete(list...)
	}
	for path, flags := range completedFlags {
		for flag, list := range flags {
			if err := a.mustFind(root, path).RegisterFlagCompletionFunc(flag, a.completeFlag(list)); err != nil {
				panic(fmt.Sprintf("evenkeel: completion of %s --%s: %v", path, flag, err))
			}
		}
	}
}

// mustFind finds a command that is in the tree: anything else is a mistake in
// this file.
func (a *app) mustFind(root *cobra.Command, path string) *cobra.Command {
	cmd, rest, err := root.Find(strings.Fields(path))
	if err != nil || len(rest) > 0 {
		panic(fmt.Sprintf("evenkeel: no command %s to complete", path))
	}
	return cmd
}

// complete offers what the next argument may be.
func (a *app) complete(list ...lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case repeats(cmd): // KEY=: the value follows
			return a.offers(cmd, list[0], begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		case len(args) >= len(list):
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.offers(cmd, list[len(args)], begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag offers what the value of a flag may be.
func (a *app) completeFlag(list lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.offers(cmd, list, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// offers asks the daemon for the words that begin so. If it does not say, there
// is nothing to offer.
func (a *app) offers(cmd *cobra.Command, list lister, begun string) []cobra.Completion {
	if err := a.settle(cmd); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), min(a.timeout, completeWithin))
	defer cancel()
	all, err := list(ctx, a)
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	all = slices.DeleteFunc(all, func(c cobra.Completion) bool { return !strings.HasPrefix(c, begun) })
	slices.Sort(all)
	return all
}

// repeats says whether a command takes any number of the last argument.
func repeats(cmd *cobra.Command) bool { return strings.Contains(cmd.Use, "...") }

// offer is a word with what is to be known of it, on one line.
func offer(word, text string) cobra.Completion {
	return cobra.CompletionWithDesc(ui.Clean(word), ui.Clean(text))
}

func vmNames(ctx context.Context, a *app) (out []cobra.Completion, err error) {
	list, err := a.askVMs(ctx)
	if err != nil {
		return nil, err
	}
	for _, vm := range list.Items {
		out = append(out, offer(vm.Name, fmt.Sprintf("%s on %s, contention %s", vm.State, vm.Host, ui.PercentOr(vm.ContentionRatio))))
	}
	return out, nil
}

func hostNames(ctx context.Context, a *app) (out []cobra.Completion, err error) {
	list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.HostList, error) { return c.Hosts(ctx) })
	if err != nil {
		return nil, err
	}
	for _, h := range list.Items {
		out = append(out, offer(h.Name, fmt.Sprintf("%s, contention %s, %d VMs", h.State, ui.Percent(h.ContentionRatio), h.VMs)))
	}
	return out, nil
}

func moveIDs(ctx context.Context, a *app) (out []cobra.Completion, err error) {
	list, err := a.askMoves(ctx, api.HistoryRequest{Live: true})
	if err != nil {
		return nil, err
	}
	for _, m := range list.Items {
		out = append(out, offer(m.ID, fmt.Sprintf("%s %s -> %s, %s", m.VM, m.Source, m.Target, m.State)))
	}
	return out, nil
}

// completedDecisions is how many of the newest are offered.
const completedDecisions = 20

func decisionIDs(ctx context.Context, a *app) (out []cobra.Completion, err error) {
	list, err := a.askDecisions(ctx, api.HistoryRequest{Limit: completedDecisions})
	if err != nil {
		return nil, err
	}
	for _, d := range list.Items {
		out = append(out, offer(d.ID, fmt.Sprintf("%s %s, %s", d.Result, d.Code, ui.Clock(d.LastAt.Time))))
	}
	return out, nil
}

func explainable(ctx context.Context, a *app) ([]cobra.Completion, error) {
	out := []cobra.Completion{offer("latest", "the last decision")}
	for _, list := range []lister{decisionIDs, moveIDs, vmNames, hostNames} {
		more, err := list(ctx, a)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func settingNames(context.Context, *app) (out []cobra.Completion, err error) {
	for _, k := range api.Knobs() {
		out = append(out, offer(k.Name+"=", k.Meaning))
	}
	return out, nil
}

func memberNames(ctx context.Context, a *app) (out []cobra.Completion, err error) {
	list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.PeerList, error) { return c.Peers(ctx) })
	if err != nil {
		return nil, err
	}
	for _, p := range list.Items {
		out = append(out, offer(p.Name, fmt.Sprintf("%s, %s", p.Role, p.Seat)))
	}
	return out, nil
}
