package sim

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// Colours that people who see few colours tell apart (Okabe and Ito), and
// dashes for those who see none.
var lines = []struct{ colour, dash string }{
	{"#0072b2", ""},
	{"#d55e00", "8 3"},
	{"#009e73", "2 3"},
	{"#cc79a7", "10 3 2 3"},
	{"#e69f00", "5 2"},
	{"#56b4e9", "1 2"},
	{"#000000", "12 4"},
	{"#8a7a00", "6 2 2 2"},
}

// The plot in pixels: two panels one above the other, and the names below.
const (
	plotWidth, panelHeight   = 860, 220
	leftEdge, topEdge, gapPx = 70, 46, 48
	lineHeight               = 20
	mostPoints               = 300 // of a line
)

// curve is a line of a panel.
type curve struct {
	values []float64
	last   string // the figure that the legend shows
}

// Plot draws runs of one scenario as an SVG: steal over time, and moves so
// far.
func Plot(out io.Writer, title string, outcomes []Outcome) error {
	var b strings.Builder
	legend := (len(outcomes) + 1) / 2 * lineHeight
	width, height := leftEdge+plotWidth+20, topEdge+2*panelHeight+2*gapPx+legend+10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"20\" font-size=\"16\">%s</text>\n", html.EscapeString(title), leftEdge, html.EscapeString(title))
	var steals, moves []curve
	var length time.Duration
	for i := range outcomes {
		o := &outcomes[i]
		steal, sum := curve{last: fmt.Sprintf("%.1f s steal per VM and hour", o.StealPerVMHour)}, curve{last: fmt.Sprintf("%d moves", len(o.Moves))}
		steal.values, sum.values = o.curves()
		steals, moves = append(steals, steal), append(moves, sum)
		if n := len(o.Series); n > 0 {
			length = max(length, o.Series[n-1].At)
		}
	}
	panel(&b, topEdge, "steal, % of vCPU time", steals, length)
	panel(&b, topEdge+panelHeight+gapPx, "moves so far", moves, length)
	for i, o := range outcomes {
		x, y := leftEdge+i%2*plotWidth/2, topEdge+2*panelHeight+2*gapPx+i/2*lineHeight
		l := lines[i%len(lines)]
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2" stroke-dasharray="%s"/><text x="%d" y="%d">%s: %s, %s</text>`+"\n",
			x, y-4, x+36, y-4, l.colour, l.dash, x+44, y, html.EscapeString(o.Policy), steals[i].last, moves[i].last)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// curves are the mean steal in percent and the moves so far, in at most so many
// points as fit.
func (o *Outcome) curves() (steal, moves []float64) {
	step := (len(o.Series) + mostPoints - 1) / mostPoints
	sum := 0
	for i := 0; i < len(o.Series); i += step {
		part := o.Series[i:min(i+step, len(o.Series))]
		var mean float64
		for _, p := range part {
			mean += p.Steal.Float() * 100 / float64(len(part))
			sum += p.Moves
		}
		steal, moves = append(steal, mean), append(moves, float64(sum))
	}
	return steal, moves
}

// panel draws axes and lines.
func panel(b *strings.Builder, top int, label string, curves []curve, length time.Duration) {
	most := 0.0
	for _, c := range curves {
		for _, v := range c.values {
			most = max(most, v)
		}
	}
	most = roundUp(most)
	bottom := top + panelHeight
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", leftEdge, top-8, label)
	for i := range 5 {
		y := bottom - i*panelHeight/4
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#ccc"/><text x="%d" y="%d" text-anchor="end">%.4g</text>`+"\n",
			leftEdge, y, leftEdge+plotWidth, y, leftEdge-8, y+4, most*float64(i)/4)
	}
	for i := range 8 {
		x := leftEdge + i*plotWidth/7
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#999"/><text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, bottom, x, bottom+5, x, bottom+19, sinceStart(length*time.Duration(i)/7))
	}
	for i, c := range curves {
		l, points := lines[i%len(lines)], make([]string, len(c.values))
		for k, v := range c.values {
			x := leftEdge + float64(plotWidth)*(float64(k)+0.5)/float64(len(c.values))
			points[k] = fmt.Sprintf("%.1f,%.1f", x, float64(bottom)-v/most*panelHeight)
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" stroke-dasharray="%s" points="%s"/>`+"\n", l.colour, l.dash, strings.Join(points, " "))
	}
}

// roundUp is the next of 1, 2, 4, 8, 10 times a power of ten.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 8} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

func sinceStart(d time.Duration) string {
	if d >= 24*time.Hour {
		return fmt.Sprintf("%.3g d", d.Hours()/24)
	}
	return d.Round(time.Second).String()
}
