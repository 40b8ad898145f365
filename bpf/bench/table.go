package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// show prints the contenders; ratios are to nothing, round by round.
func show(out io.Writer, title, event string, results []result) {
	fmt.Fprintf(out, "\n%s\n", title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\tns/%s\tquartiles\tx nothing\tquartiles\tx bare\tnet ns/%s\tquartiles\tns/run\truns/%s\tcounted / truth\n", event, event, event)
	for _, r := range results {
		low, high := quartiles(r.ns)
		slow := ratios(r.ns, results[0].ns)
		rl, rh := quartiles(slow)
		fmt.Fprintf(w, "%s\t%.0f\t%.0f-%.0f\t%.3f\t%.3f-%.3f\t%.3f\t", r.name, median(r.ns), low, high, median(slow), rl, rh, median(ratios(r.ns, results[1].ns)))
		if len(r.net) == 0 {
			fmt.Fprint(w, "\t\t\t\t")
		} else {
			nl, nh := quartiles(r.net)
			fmt.Fprintf(w, "%.0f\t%.0f-%.0f\t%.0f\t%.2f\t", median(r.net), nl, nh, median(r.perRun), median(r.runs))
		}
		if r.tells {
			fmt.Fprintf(w, "%d / %d", r.counted, r.truth)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// aim is what was hoped for, and what came.
type aim struct {
	what     string
	unit     string
	want     float64
	atLeast  bool // the figure is to be at least so large, else at most
	measured float64
	cause    string // what is known of why it is not met, where it is not
}

func (a aim) met() bool {
	if math.IsNaN(a.measured) {
		return false
	}
	if a.atLeast {
		return a.measured >= a.want
	}
	return a.measured <= a.want
}

func showAims(out io.Writer, aims []aim) {
	fmt.Fprintln(out, "\naims")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\taim\tmeasured\tmet\tknown cause of a no")
	for _, a := range aims {
		sign, met, cause := "<=", "no", a.cause
		if a.atLeast {
			sign = ">="
		}
		if a.met() {
			met, cause = "yes", ""
		}
		measured := "not measured"
		if math.IsNaN(a.measured) {
			cause = ""
		}
		if !math.IsNaN(a.measured) {
			measured = fmt.Sprintf("%.4g %s", a.measured, a.unit)
		}
		fmt.Fprintf(w, "%s\t%s %g %s\t%s\t%s\t%s\n", a.what, sign, a.want, a.unit, measured, met, cause)
	}
	w.Flush()
}
