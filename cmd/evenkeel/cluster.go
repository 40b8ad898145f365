package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

func (a *app) cluster() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Found a cluster, let hosts join and leave, look at its members",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	peers := &cobra.Command{
		Use:   "peers",
		Short: "Ask every member who leads, how far its log is, and what its clock says",
		Long: `Asks every member for itself; it works without a leader. VOTER is yes, no, or next
for a member that holds a replica and votes when another goes. BEHIND counts the
entries that its log lacks.`,
		Example: `  evenkeel cluster peers
  evenkeel cluster peers --json | jq '.items[] | select(.answers | not)'`,
		Args: noArgs,
		RunE: a.verb(func(ctx context.Context, _ []string) error { return a.listPeers(ctx) }),
	}
	cmd.AddCommand(a.clusterInit(), a.clusterAdd(), a.clusterJoin(), a.clusterRemove(), peers, a.clusterTransfer(), a.clusterUpgrade(), a.clusterSnapshot(), a.clusterRecover(), a.clusterLock(), a.clusterUnlock())
	return cmd
}

func (a *app) listPeers(ctx context.Context) error {
	list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.PeerList, error) { return c.Peers(ctx) })
	if err != nil {
		return err
	}
	a.notes(list.Head)
	var names []string
	for _, p := range list.Items {
		names = append(names, p.Name)
	}
	return a.print(list, func(w *ui.Writer) { w.Table(peerColumns, peerRows(list.Items)) }, names)
}

var peerColumns = []ui.Column{
	{Title: "NAME"},
	{Title: "ROLE"},
	{Title: "VOTER"},
	{Title: "STATE"},
	{Title: "TERM", Right: true},
	{Title: "APPLIED", Right: true},
	{Title: "BEHIND", Right: true},
	{Title: "CONTACT", Right: true, Wide: true},
	{Title: "APPEND", Right: true},
	{Title: "CLOCK", Right: true},
	{Title: "ADDRESS"},
	{Title: "VERSION", Wide: true},
	{Title: "API", Wide: true},
	{Title: "ID", Wide: true},
	{Title: "MESSAGE"},
}

func peerRows(peers []api.Peer) [][]ui.Cell {
	rows := make([][]ui.Cell, len(peers))
	for i, p := range peers {
		state, tone := "silent", ui.Bad
		known := func(string) ui.Cell { return ui.Text("") }
		if p.Answers {
			state, tone = p.Part, ui.Good
			if p.Unfit {
				state, tone = "unfit", ui.Bad
			}
			known = ui.Text
		}
		voter := map[string]string{"voter": "yes", "nonvoter": "next"}[p.Seat]
		if voter == "" {
			voter = "no"
		}
		behind, contact := known(""), known("")
		if p.Seat != "agent" {
			behind, contact = known(fmt.Sprint(p.Behind)), known(ui.Seconds(max(p.ContactSeconds, 0)))
		}
		rows[i] = []ui.Cell{
			ui.Text(p.Name), ui.Text(string(p.Role)), ui.Text(voter), ui.Toned(tone, state),
			known(fmt.Sprint(p.Term)), known(fmt.Sprint(p.AppliedIndex)), behind, contact, known(ui.Seconds(p.AppendSeconds)),
			known(offset(p.ClockAheadSeconds)), ui.Text(p.Address), ui.Text(p.Version), ui.Text(p.APIAddress), ui.Text(p.ID), ui.Text(p.Message),
		}
	}
	return rows
}

// offset is a clock's error with its sign.
func offset(s float64) string {
	if s > 0 {
		return "+" + ui.Seconds(s)
	}
	return ui.Seconds(s)
}
