package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
)

func newStatus(opts *lab.Options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show hosts, daemons, guests and their heartbeats",
		Args:  exactArgs(0, "[--json]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(*opts)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(l.Status())
			}
			return printStatus(cmd.OutOrStdout(), l.Status(), time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, s lab.Status, now time.Time) error {
	state := "up"
	if s.Building {
		state = "not whole: it is being built, or its building died (evenkeel-lab down)"
	}
	fmt.Fprintf(w, "lab %s in %s, %s, made %s ago\n\n", s.Name, s.StateDir, state, now.Sub(s.CreatedAt).Round(time.Second))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tROLE\tADDRESS\tCPUS\tUP\tLIBVIRTD\tEVENKEELD\tGUESTS")
	for _, h := range s.Hosts {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.Role, h.Address, h.CPUs,
			yesNo(h.Up), pidText(h.Libvirtd), pidText(h.Agent), orDash(strings.Join(h.Guests, ",")))
	}
	if len(s.Guests) > 0 {
		fmt.Fprintln(table, "\nGUEST\tON\tVCPUS\tLOAD\tBEATS\tMISSING\tLONGEST GAP\tLAST BEAT\tWORK")
	}
	for _, g := range s.Guests {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%d\t%d\t%.1f s\t%s\t%d\n", g.Name, orDash(strings.Join(g.Hosts, "+")), g.VCPUs,
			orDash(g.Load), g.Beats, g.Missing, g.LongestGap.Seconds(), ageText(g), g.Work)
	}
	return table.Flush()
}

func ageText(g lab.GuestStatus) string {
	switch {
	case g.Error != "":
		return g.Error
	case g.Age == nil:
		return "none yet"
	}
	return fmt.Sprintf("%.1f s ago", g.Age.Seconds())
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return strconv.Itoa(pid)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
