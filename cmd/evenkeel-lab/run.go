package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
)

// lookEvery is how often run looks for changes.
const lookEvery = time.Second

func newRun(opts *lab.Options) *cobra.Command {
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "run [SCENARIO]",
		Short: "Build a lab, tell what happens in it, and take it down at the end",
		Long: `Build a lab, tell what happens in it, and take it down at Ctrl-C, or after the
time that the scenario or --for names.`,
		Args: atMostOneScenario,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := lab.LoadScenario(scenarioArg(args))
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("for") {
				length = s.For
			}
			l, err := bringUp(cmd, scenarioArg(args), *opts)
			if err != nil {
				return err
			}
			err = watch(cmd.Context(), cmd.OutOrStdout(), l, length)
			// Ctrl-C has ended the context; the way down needs one.
			return errors.Join(err, l.Down(context.WithoutCancel(cmd.Context())))
		},
	}
	buildFlags(cmd, opts)
	cmd.Flags().DurationVar(&length, "for", 0, "take the lab down after this long (default: at Ctrl-C)")
	return cmd
}

// watch prints the lab once and then each change, until the context or the
// time ends.
func watch(ctx context.Context, w io.Writer, l *lab.Lab, length time.Duration) error {
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	begin, last := time.Now(), l.Status()
	if err := printStatus(w, last, begin); err != nil {
		return err
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return printStatus(w, l.Status(), time.Now())
		case now := <-ticker.C:
			status := l.Status()
			for _, line := range changes(last, status) {
				if _, err := fmt.Fprintf(w, "%6.1f s  %s\n", now.Sub(begin).Seconds(), line); err != nil {
					return err
				}
			}
			last = status
		}
	}
}

// lateBeat is when a heartbeat that has not come is worth a line.
const lateBeat = 3 * time.Second

// changes says in words what is different.
func changes(before, after lab.Status) []string {
	var lines []string
	for i, h := range after.Hosts {
		if i >= len(before.Hosts) {
			break
		}
		lines = append(lines, daemonChange(h.Name, "libvirtd", before.Hosts[i].Libvirtd, h.Libvirtd)...)
		lines = append(lines, daemonChange(h.Name, "evenkeeld", before.Hosts[i].Agent, h.Agent)...)
	}
	for _, g := range after.Guests {
		i := slices.IndexFunc(before.Guests, func(b lab.GuestStatus) bool { return b.UUID == g.UUID })
		if i < 0 {
			lines = append(lines, fmt.Sprintf("%s started on %s", g.Name, orDash(strings.Join(g.Hosts, "+"))))
			continue
		}
		lines = append(lines, guestChange(before.Guests[i], g)...)
	}
	return lines
}

func daemonChange(host, daemon string, before, after int) []string {
	switch {
	case before == after:
		return nil
	case after == 0:
		return []string{fmt.Sprintf("%s on %s ended (process %d)", daemon, host, before)}
	}
	return []string{fmt.Sprintf("%s on %s started (process %d)", daemon, host, after)}
}

func guestChange(before, after lab.GuestStatus) []string {
	var lines []string
	if !slices.Equal(before.Hosts, after.Hosts) {
		from, to := strings.Join(before.Hosts, "+"), strings.Join(after.Hosts, "+")
		lines = append(lines, fmt.Sprintf("%s: on %s, was on %s", after.Name, orDash(to), orDash(from)))
	}
	if after.Boots > before.Boots && before.Boots > 0 {
		lines = append(lines, after.Name+" booted again")
	}
	if after.Missing > before.Missing {
		lines = append(lines, fmt.Sprintf("%s: %d heartbeats are missing", after.Name, after.Missing-before.Missing))
	}
	if late(after) && !late(before) {
		lines = append(lines, fmt.Sprintf("%s: no heartbeat for %.1f s", after.Name, after.Age.Seconds()))
	}
	return lines
}

func late(g lab.GuestStatus) bool { return g.Age != nil && *g.Age > lateBeat }
