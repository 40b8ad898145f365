package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// fitQuestion is what doctor is asked about VMs instead of about this host.
type fitQuestion struct {
	vm    string
	pairs bool
	try   bool
	act   api.Act
}

func (q *fitQuestion) check(args []string) error {
	asked := 0
	for _, on := range []bool{q.vm != "", q.pairs, q.try} {
		if on {
			asked++
		}
	}
	switch {
	case asked > 1:
		return errors.New("--vm, --pairs and --try are three questions: ask one of them")
	case q.try && len(args) != 2:
		return fmt.Errorf("say what to try: evenkeel doctor --try VM HOST; there are %d arguments", len(args))
	case !q.try && len(args) > 0:
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// asked says whether there is such a question, and answers it.
func (q *fitQuestion) asked(ctx context.Context, a *app, args []string) (bool, error) {
	switch {
	case q.vm != "":
		return true, a.doctorVM(ctx, q.vm)
	case q.pairs:
		return true, a.doctorPairs(ctx)
	case q.try:
		return true, a.doctorTry(ctx, q, args[0], args[1])
	}
	return false, nil
}

// doctorVM tells of every host whether a VM could run there. It fails if there
// is no such host.
func (a *app) doctorVM(ctx context.Context, vm string) error {
	list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.FitList, error) { return c.Fits(ctx, vm) })
	if err != nil {
		return err
	}
	a.notes(list.Head)
	var can []string
	for _, f := range list.Items {
		if f.OK {
			can = append(can, f.Target)
		}
	}
	if err := a.print(list, func(w *ui.Writer) { w.Table(fitColumns, fitRows(list.Items)) }, can); err != nil {
		return err
	}
	if len(can) == 0 {
		return exits{exitBlocked, errSilent}
	}
	return nil
}

var fitColumns = []ui.Column{{Title: "HOST"}, {Title: "VERDICT"}, {Title: "FINDING"}}

func fitRows(fits []api.Fit) [][]ui.Cell {
	var rows [][]ui.Cell
	for _, f := range fits {
		if len(f.Hindrances) == 0 {
			rows = append(rows, []ui.Cell{ui.Text(f.Target), ui.Toned(ui.Good, "ok"), ui.Text("")})
		}
		host := f.Target
		for _, h := range f.Hindrances {
			tone, text := ui.Bad, h.Text
			if h.Auto {
				tone, text = ui.Warn, "not by itself: "+text
			}
			rows = append(rows,
				[]ui.Cell{ui.Text(host), ui.Toned(tone, string(h.Code)), ui.Text(text)},
				[]ui.Cell{ui.Text(" "), ui.Text(" "), ui.Text("fix: " + h.Remedy)})
			host = " "
		}
	}
	return rows
}

// doctorPairs prints how many of each host's VMs could go to each other one.
func (a *app) doctorPairs(ctx context.Context) error {
	list, err := ask(ctx, a, func(ctx context.Context, c *api.Client) (*api.PairList, error) { return c.Pairs(ctx) })
	if err != nil {
		return err
	}
	a.notes(list.Head)
	names := make([]string, len(list.Items))
	for i, p := range list.Items {
		names[i] = p.Source + " " + p.Target
	}
	return a.print(list, func(w *ui.Writer) { pairTable(w, list.Items) }, names)
}

func pairTable(w *ui.Writer, pairs []api.Pair) {
	columns, rows := []ui.Column{{Title: "FROM"}, {Title: "VMS", Right: true}}, [][]ui.Cell{}
	var targets []string
	for _, p := range pairs {
		if !slices.Contains(targets, p.Target) {
			targets = append(targets, p.Target)
		}
	}
	slices.Sort(targets)
	for _, t := range targets {
		columns = append(columns, ui.Column{Title: "TO " + t})
	}
	place := map[string]int{}
	for _, p := range pairs {
		i, ok := place[p.Source]
		if !ok {
			i = len(rows)
			place[p.Source] = i
			row := []ui.Cell{ui.Text(p.Source), ui.Text(fmt.Sprint(p.VMs))}
			for range targets {
				row = append(row, ui.Toned(ui.Faint, "-"))
			}
			rows = append(rows, row)
		}
		rows[i][2+slices.Index(targets, p.Target)] = pairCell(p)
	}
	w.Table(columns, rows)
}

func pairCell(p api.Pair) ui.Cell {
	var why []string
	for _, c := range p.Counts {
		if c.N == 1 || c.N == p.VMs {
			why = append(why, string(c.Code))
		} else {
			why = append(why, fmt.Sprintf("%d %s", c.N, c.Code))
		}
	}
	switch {
	case p.VMs == 0:
		return ui.Toned(ui.Faint, "no VMs")
	case p.OK == p.VMs:
		return ui.Toned(ui.Good, "all")
	case p.OK == 0:
		return ui.Toned(ui.Bad, "none: "+strings.Join(why, ", "))
	}
	return ui.Toned(ui.Warn, fmt.Sprintf("%d: %s", p.OK, strings.Join(why, ", ")))
}

// doctorTry has both hosts do all that a move takes but the migration itself.
func (a *app) doctorTry(ctx context.Context, q *fitQuestion, vm, host string) error {
	req := api.MigrateRequest{Act: q.act, VM: vm, Host: host, Try: true}
	req.ID = requestID()
	var move string
	err := a.change(ctx, func(ctx context.Context, c *api.Client) (*api.Change, error) {
		change, err := c.Migrate(ctx, req)
		if err == nil && change.Move != nil {
			move = change.Move.ID
		}
		return change, err
	})
	if err != nil || move == "" || req.DryRun {
		return err
	}
	return a.followOne(ctx, &watch{on: true, every: defaultInterval}, move)
}

// triedWell says whether a move was only to be tried, and went well.
func triedWell(m api.Move) bool { return m.WhyCode == cluster.CodeTried }
