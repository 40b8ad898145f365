package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/ui"
)

// progress tells on stderr how far something has got: a bar on a terminal, a
// line every 30 s elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	every    time.Duration
	next     time.Time // when to say more
	shown    bool      // a bar stands there
}

const barWidth = 30

// newProgress says nothing where nobody looks: data for programs has no bar.
func newProgress(out io.Writer, data bool) *progress {
	p := &progress{out: out, terminal: ui.Terminal(out) && !data, every: 30 * time.Second}
	if p.terminal {
		p.every = 100 * time.Millisecond
	}
	p.next = time.Now().Add(p.every)
	return p
}

// at tells that the instant at was reached on the way from one to another.
func (p *progress) at(at, from, to time.Time) {
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(p.every)
	part := min(max(at.Sub(from).Seconds()/max(to.Sub(from).Seconds(), 1), 0), 1)
	if !p.terminal {
		fmt.Fprintf(p.out, "evenkeel: played up to %s, %.0f %%\n", ui.Clock(at), part*100)
		return
	}
	full := int(part * barWidth)
	fmt.Fprintf(p.out, "\r%s%s %3.0f %%  %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), part*100, ui.Clock(at))
	p.shown = true
}

// end takes the bar away.
func (p *progress) end() {
	if p.shown {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", barWidth+30))
	}
}
