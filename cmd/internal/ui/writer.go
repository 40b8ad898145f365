package ui

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Printer prints answers in one format.
type Printer struct {
	Out    io.Writer
	Format Format
	Colour bool
}

// Writer takes lines for people. It keeps the first error.
type Writer struct {
	out    io.Writer
	colour bool
	wide   bool
	err    error
}

// Line prints one line as it is.
func (w *Writer) Line(text string) {
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.out, text)
	}
}

// Linef prints one line; what its arguments bring along is made printable.
func (w *Writer) Linef(format string, args ...any) {
	w.Line(Clean(fmt.Sprintf(format, args...)))
}

// Paint colours a text that is part of a line.
func (w *Writer) Paint(t Tone, text string) string { return paint(Clean(text), t, w.colour) }

// Field prints a name and its value, aligned with the fields around it.
func (w *Writer) Field(width int, name, value string) {
	w.Line(strings.TrimRight(w.Paint(Faint, fmt.Sprintf("%-*s", width, name))+gap+value, " "))
}

// Print prints an answer: as data, as the names of its items, or by text.
func (p Printer) Print(answer any, text func(*Writer), names []string) error {
	w := &Writer{out: p.Out, colour: p.Colour, wide: p.Format == Wide}
	switch p.Format {
	case JSON:
		w.err = WriteJSON(p.Out, answer)
	case YAML:
		w.err = writeYAML(p.Out, answer)
	case Name:
		for _, n := range names {
			w.Line(Clean(n))
		}
	default:
		text(w)
	}
	if errors.Is(w.err, syscall.EPIPE) {
		return nil // `| head` has seen enough
	}
	return w.err
}

// Raw writes a control sequence of ours.
func (w *Writer) Raw(sequence string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.out, sequence)
	}
}
