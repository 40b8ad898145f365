package ui

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Tone is what a colour means.
type Tone int

// The tones.
const (
	Plain  Tone = iota
	Good        // as it should be
	Warn        // look at it
	Bad         // something suffers or failed
	Faint       // old or unimportant
	Strong      // what to read first
)

var codes = map[Tone]string{Good: "32", Warn: "33", Bad: "31", Faint: "2", Strong: "1"}

// paint colours text that has been made printable.
func paint(text string, t Tone, on bool) string {
	code, ok := codes[t]
	if !on || !ok || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Terminal says whether a stream is one.
func Terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colourful says whether a stream takes colour.
func Colourful(w io.Writer, env func(string) string) bool {
	return Terminal(w) && env("NO_COLOR") == "" && env("TERM") != "dumb"
}
