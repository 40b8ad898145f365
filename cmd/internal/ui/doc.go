// Package ui prints for people and programs: tables, units, colours, JSON and
// YAML.
//
//	p := ui.Printer{Out: stdout, Format: ui.Table}
//	err := p.Print(answer, func(w *ui.Writer) { w.Table(columns, rows) }, names)
//
// Colour has meaning and never stands alone: every coloured word is a word.
// It is off for pipes, for NO_COLOR and for TERM=dumb. What comes from outside
// (names, messages) is printed without its control characters, so that no VM's
// name can command a terminal.
package ui
