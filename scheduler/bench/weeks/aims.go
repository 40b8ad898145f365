package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/evenkeel/evenkeel/scheduler/sim"
)

// What is aimed at for evenkeel's own policy.
const (
	ours          = "demand"
	leastRelief   = 0.9     // of the bound's
	mostMoves     = 1.0 / 3 // of those of the next best policy
	mostRegretted = 0.02    // of its moves
)

// yardsticks are no policies that anybody could have.
var yardsticks = []string{"bound", "foresight", "off"}

// aim is a line of the table.
type aim struct {
	what, aim, measured, met string
	beside                   string // what explains it
}

// judge holds a fleet's outcomes against the aims; nothing if ours was not
// played. What was not played beside it is missing from the table.
//
// Relief is the share of the steal that the bound spares: where VMs wait 600 s in
// an hour if nothing moves, and 100 s with all CPUs in one pool, a policy under
// which they wait 200 s relieves them of 80 %.
func judge(outcomes []sim.Outcome) []aim {
	o, played := find(outcomes, ours)
	if !played {
		return nil
	}
	var out []aim
	if share, ok := relief(outcomes, o); ok {
		a := aim{what: "relief, of the bound's", aim: fmt.Sprintf(">= %.0f %%", leastRelief*100), measured: percent(share), met: met(share >= leastRelief)}
		if f, played := find(outcomes, "foresight"); played {
			share, _ := relief(outcomes, f)
			a.beside = fmt.Sprintf("foresight %s with %d moves", percent(share), len(f.Moves))
		}
		out = append(out, a)
	}
	if next, share, ok := nextBest(outcomes); ok {
		mine, _ := relief(outcomes, o)
		out = append(out,
			aim{"relief, of the next best's", ">= 100 %", percent(mine / share), met(mine >= share), fmt.Sprintf("%s %s", next.Policy, percent(share))},
			aim{
				"moves, of the next best's", "<= 33.3 %", percent(part(len(o.Moves), len(next.Moves))),
				met(part(len(o.Moves), len(next.Moves)) <= mostMoves), fmt.Sprintf("%d, %s %d", len(o.Moves), next.Policy, len(next.Moves)),
			})
	}
	return append(out,
		aim{"ping-pong", "0", fmt.Sprint(o.PingPong), met(o.PingPong == 0), ""},
		aim{"regretted moves", fmt.Sprintf("< %.0f %%", mostRegretted*100), percent(o.RegrettedShare()), met(o.RegrettedShare() < mostRegretted), fmt.Sprintf("%d of %d", o.Regretted, o.Done)})
}

func find(outcomes []sim.Outcome, policy string) (sim.Outcome, bool) {
	i := slices.IndexFunc(outcomes, func(o sim.Outcome) bool { return o.Policy == policy })
	if i < 0 {
		return sim.Outcome{}, false
	}
	return outcomes[i], true
}

// relief is which share of the steal that the bound spares a policy spares too.
// There is none to speak of where the bound spares nothing.
func relief(outcomes []sim.Outcome, o sim.Outcome) (float64, bool) {
	off, known := find(outcomes, "off")
	bound, bounded := find(outcomes, "bound")
	if most := off.StealPerVMHour - bound.StealPerVMHour; known && bounded && most > 0 {
		return (off.StealPerVMHour - o.StealPerVMHour) / most, true
	}
	return 0, false
}

// nextBest is the policy beside ours that relieves most, and how much; of two
// that relieve alike the one with fewer moves. One that relieves nothing is none.
func nextBest(outcomes []sim.Outcome) (best sim.Outcome, share float64, ok bool) {
	for _, o := range outcomes {
		if o.Policy == ours || slices.Contains(yardsticks, o.Policy) {
			continue
		}
		s, known := relief(outcomes, o)
		if !known || s <= 0 {
			continue
		}
		if order := cmp.Or(cmp.Compare(s, share), cmp.Compare(len(best.Moves), len(o.Moves))); !ok || order > 0 {
			best, share, ok = o, s, true
		}
	}
	return best, share, ok
}

func part(n, of int) float64 {
	if of == 0 {
		if n == 0 {
			return 0
		}
		return 1
	}
	return float64(n) / float64(of)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}

// printAims prints the table.
func printAims(out io.Writer, aims []aim) error {
	if len(aims) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\taim\tmeasured\tmet\tbeside")
	for _, a := range aims {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.what, a.aim, a.measured, a.met, a.beside)
	}
	return t.Flush()
}
