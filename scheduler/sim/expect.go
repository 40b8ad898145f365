package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Expect is what a scenario says must come of a policy: a figure is at most or
// at least a value, or so many times the same figure of another policy.
type Expect struct {
	Policy string
	Figure string
	Most   bool // at most; else at least
	Value  float64
	Of     string // "": the value stands for itself
}

// figures are what can be expected of an outcome, in the order in which the
// documentation has them.
var figures = []struct {
	name string
	of   func(*Outcome) float64
}{
	{"steal", func(o *Outcome) float64 { return o.StealPerVMHour }},               // seconds per VM and hour
	{"p99", func(o *Outcome) float64 { return o.P99.Float() * 100 }},              // per cent
	{"moves", func(o *Outcome) float64 { return float64(len(o.Moves)) }},          //
	{"bad", func(o *Outcome) float64 { return float64(o.Bad) }},                   // moves that did not end well
	{"regretted", func(o *Outcome) float64 { return o.RegrettedShare() * 100 }},   // per cent of the moves
	{"pingpong", func(o *Outcome) float64 { return float64(o.PingPong) }},         //
	{"copied", func(o *Outcome) float64 { return float64(o.Copied) / (1 << 30) }}, // GiB
	{"downtime", func(o *Outcome) float64 { return o.WorstDowntime.Seconds() }},   // seconds
	{"reserve", func(o *Outcome) float64 { return o.Reserve.Float() * 100 }},      // per cent of the time
	{"relief", func(o *Outcome) float64 { return o.Relief.Seconds() }},            // seconds
	{"overloads", func(o *Outcome) float64 { return float64(o.Overloads) }},       //
}

// RegrettedShare is the share of the moves that ended well that are regretted.
func (o *Outcome) RegrettedShare() float64 {
	if o.Done == 0 {
		return 0
	}
	return float64(o.Regretted) / float64(o.Done)
}

func figureOf(name string) func(*Outcome) float64 {
	for _, f := range figures {
		if f.name == name {
			return f.of
		}
	}
	return nil
}

// expect reads an expectation: POLICY FIGURE at-most|at-least VALUE [of POLICY].
func expect(w *words) Expect {
	e := Expect{Policy: w.next("a policy"), Figure: w.next("a figure")}
	if figureOf(e.Figure) == nil {
		var names []string
		for _, f := range figures {
			names = append(names, f.name)
		}
		w.fail("%q is no figure; it is one of %s", e.Figure, strings.Join(names, ", "))
	}
	switch bound := w.next("at-most or at-least"); bound {
	case "at-most", "at-least":
		e.Most = bound == "at-most"
	default:
		w.fail("%q is neither at-most nor at-least", bound)
	}
	v, err := strconv.ParseFloat(w.next("a value"), 64)
	if err != nil || v != v || v < 0 || v > 1e12 {
		w.fail("a value is a number from 0 to 1e12")
	}
	e.Value = v
	if len(w.plain) > 0 {
		if of := w.next("of"); of != "of" {
			w.fail("%q stands where only \"of POLICY\" may", of)
		}
		e.Of = w.next("a policy")
	}
	return e
}

func (e Expect) String() string {
	bound := map[bool]string{true: "at-most", false: "at-least"}[e.Most]
	text := fmt.Sprintf("%s %s %s %g", e.Policy, e.Figure, bound, e.Value)
	if e.Of != "" {
		text += " of " + e.Of
	}
	return text
}

// Unmet lists what a scenario expects and outcomes do not hold, in words.
// Expectations of policies that were not played are left out.
func Unmet(expected []Expect, outcomes []Outcome) []string {
	of := func(policy string) *Outcome {
		i := slices.IndexFunc(outcomes, func(o Outcome) bool { return o.Policy == policy })
		if i < 0 {
			return nil
		}
		return &outcomes[i]
	}
	var out []string
	for _, e := range expected {
		o, limit := of(e.Policy), e.Value
		if e.Of != "" {
			other := of(e.Of)
			if other == nil {
				continue
			}
			limit *= figureOf(e.Figure)(other)
		}
		if o == nil {
			continue
		}
		if got := figureOf(e.Figure)(o); e.Most && got > limit || !e.Most && got < limit {
			out = append(out, fmt.Sprintf("%s: it is %.4g, the limit is %.4g", e, got, limit))
		}
	}
	return out
}
