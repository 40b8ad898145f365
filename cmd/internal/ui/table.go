package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Column is a column of a table.
type Column struct {
	Title string
	Right bool // figures
	Wide  bool // only in the format wide
}

// Cell is a piece of text and what its colour means.
type Cell struct {
	Text string
	Tone Tone
}

// Text is a plain cell.
func Text(s string) Cell { return Cell{Text: s} }

// Toned is a coloured cell.
func Toned(t Tone, s string) Cell { return Cell{s, t} }

const gap = "  "

// Table prints rows under their titles. The last column is not padded.
func (w *Writer) Table(columns []Column, rows [][]Cell) {
	columns, rows = w.shown(columns, rows)
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].Text))
		}
	}
	title := make([]Cell, len(columns))
	for i, c := range columns {
		title[i] = Toned(Strong, c.Title)
	}
	w.row(columns, widths, title)
	for _, row := range rows {
		w.row(columns, widths, row)
	}
}

// shown drops what is for wide tables, and makes texts printable.
func (w *Writer) shown(columns []Column, rows [][]Cell) ([]Column, [][]Cell) {
	var keep []int
	var cols []Column
	for i, c := range columns {
		if !c.Wide || w.wide {
			keep, cols = append(keep, i), append(cols, c)
		}
	}
	out := make([][]Cell, len(rows))
	for i, row := range rows {
		out[i] = make([]Cell, len(keep))
		for j, k := range keep {
			out[i][j] = Cell{Clean(row[k].Text), row[k].Tone}
			if out[i][j].Text == "" {
				out[i][j].Text = "-"
			}
		}
		if last := len(keep) - 1; last >= 0 && out[i][last].Text == "-" {
			out[i][last].Text = "" // nothing to say at the end of a line needs no dash
		}
	}
	return cols, out
}

func (w *Writer) row(columns []Column, widths []int, row []Cell) {
	var b strings.Builder
	for i, c := range row {
		if i > 0 {
			b.WriteString(gap)
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.Text))
		switch {
		case columns[i].Right:
			b.WriteString(pad + paint(c.Text, c.Tone, w.colour))
		case i == len(row)-1:
			b.WriteString(paint(c.Text, c.Tone, w.colour))
		default:
			b.WriteString(paint(c.Text, c.Tone, w.colour) + pad)
		}
	}
	w.Line(strings.TrimRight(b.String(), " "))
}

// Clean makes text fit for one line of a terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
