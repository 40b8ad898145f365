package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// movesOf names the real moves that the last column would not have made.
func movesOf(s *api.Simulation) []string {
	var out []string
	for _, m := range s.NotMade {
		out = append(out, m.ID)
	}
	return out
}

func writeSimulation(w *ui.Writer, s *api.Simulation) {
	writePlayed(w, s)
	columns := []ui.Column{{}}
	titles := map[string]string{"record": "RECORD", "then": "AS SET THEN", "what-if": "WHAT IF"}
	for _, c := range s.Columns {
		columns = append(columns, ui.Column{Title: titles[c.Name], Right: true})
	}
	w.Table(columns, simulationRows(s))
	writeMoves(w, "moves that would have been made as well", s.AsWell)
	writeMoves(w, "real moves that would not have been made", s.NotMade)
	writeMoves(w, "moves that would have been made in addition", s.Added)
	writeTrust(w, s)
}

// writePlayed says what was played, and what of it is missing.
func writePlayed(w *ui.Writer, s *api.Simulation) {
	w.Linef("%s to %s from the record of %s, %d entries", ui.Clock(s.From.Time), ui.Clock(s.To.Time), s.Member, s.Entries)
	if s.First.After(s.Asked.Time) {
		w.Linef("the record begins at %s", ui.Clock(s.First.Time))
	}
	for _, g := range s.Gaps {
		if g.Until.IsZero() {
			w.Linef("the record breaks off: %s", g.Why)
			continue
		}
		w.Linef("gap until %s, from where every column begins anew from the record: %s", ui.Clock(g.Until.Time), g.Why)
	}
	if s.Changes != "" {
		w.Linef("what if: %s", s.Changes)
	}
	w.Line("")
}

func simulationRows(s *api.Simulation) [][]ui.Cell {
	var rows [][]ui.Cell
	add := func(name string, figure func(api.SimulationColumn) string) {
		row := []ui.Cell{ui.Text(name)}
		for _, c := range s.Columns {
			row = append(row, ui.Text(figure(c)))
		}
		rows = append(rows, row)
	}
	add("mode at the end", func(c api.SimulationColumn) string { return string(c.Mode) })
	add("decisions that moved", func(c api.SimulationColumn) string { return fmt.Sprint(c.Moved) })
	add("decisions that recommended", func(c api.SimulationColumn) string { return fmt.Sprint(c.Recommended) })
	add("decisions not to move", func(c api.SimulationColumn) string { return fmt.Sprint(c.Nothing) })
	add("moves ordered", func(c api.SimulationColumn) string { return fmt.Sprint(c.Moves) })
	add("of them done", func(c api.SimulationColumn) string { return fmt.Sprint(c.Done) })
	add("steal, s per VM and hour", func(c api.SimulationColumn) string {
		return estimate(c, fmt.Sprintf("%.1f", c.StealSecondsPerVMHour))
	})
	add("overloads of a host", func(c api.SimulationColumn) string { return estimate(c, fmt.Sprint(c.Overloads)) })
	add("overloaded, in all", func(c api.SimulationColumn) string { return estimate(c, ui.Seconds(c.OverloadSeconds)) })
	add("overloads answered", func(c api.SimulationColumn) string { return estimate(c, fmt.Sprint(c.Answered)) })
	add("answered after, median", func(c api.SimulationColumn) string { return ui.SecondsOr(c.DelayMedian) })
	add("answered after, at worst", func(c api.SimulationColumn) string { return ui.SecondsOr(c.DelayWorst) })
	add("VM-hours", func(c api.SimulationColumn) string { return fmt.Sprintf("%.1f", c.VMHours) })
	add("of them estimated", func(c api.SimulationColumn) string { return fmt.Sprintf("%.1f", c.EstimatedVMHours) })
	return rows
}

// estimate marks a figure that is not measured alone.
func estimate(c api.SimulationColumn, text string) string {
	if c.EstimatedVMHours > 0 {
		return "~" + text
	}
	return text
}

var simulatedColumns = []ui.Column{
	{Title: "ID"}, {Title: "VM"}, {Title: "SOURCE"}, {Title: "TARGET"}, {Title: "REALLY"}, {Title: "WHAT IF"}, {Title: "STATE"}, {Title: "REASON", Wide: true},
}

func writeMoves(w *ui.Writer, title string, moves []api.SimulatedMove) {
	if len(moves) == 0 {
		return
	}
	w.Line("")
	w.Linef("%s:", title)
	rows := make([][]ui.Cell, len(moves))
	for i, m := range moves {
		rows[i] = []ui.Cell{
			ui.Text(m.ID), ui.Text(m.VM), ui.Text(m.Source), ui.Text(m.Target), ui.Text(clockOr(m.RealAt.Time)), ui.Text(clockOr(m.At.Time)),
			ui.Toned(toneOf(m.State), string(m.State)), ui.Text(m.Reason),
		}
	}
	w.Table(simulatedColumns, rows)
}

func clockOr(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return ui.Clock(t)
}

// writeTrust says how far the estimates can be believed.
func writeTrust(w *ui.Writer, s *api.Simulation) {
	w.Line("")
	really := s.Control.AsWell + s.Control.NotMade
	w.Linef("as set then, %d of the %d real moves are made, and %d others", s.Control.AsWell, really, s.Control.Added)
	if !slices.ContainsFunc(s.Columns, func(c api.SimulationColumn) bool { return c.EstimatedVMHours > 0 }) {
		return
	}
	w.Linef("~ holds estimates: on hosts with other VMs than they really had, VMs ask for what")
	w.Linef("they were measured to ask for, and share evenly; on hosts as they really were that")
	w.Linef("gives waits for others of %.1f s per VM and hour, and %.1f s were measured", s.Model.ModelledSecondsPerVMHour, s.Model.MeasuredSecondsPerVMHour)
}
