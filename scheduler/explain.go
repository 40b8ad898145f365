package scheduler

import (
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Verdict is what the planner thinks of one target for a VM.
type Verdict struct {
	Target    string
	Code      cluster.Code // "" if the move may be and would pay
	Text      string
	Predicted cluster.Effect // zero if a filter refused before anything was predicted
}

// Explain says of one VM what Plan thinks of every other host, in the order
// of their ids. One verdict without a target means that the VM may not move at
// all, or is not known.
func Explain(in Input, uuid string) []Verdict {
	f := newFleet(in)
	for _, source := range f.hosts {
		i := slices.IndexFunc(source.vms, func(v *vm) bool { return v.uuid == uuid })
		p, _ := in.State.Place(uuid)
		if i < 0 || !slices.Contains(p.Hosts, source.id) {
			continue
		}
		return f.verdicts(source, source.vms[i])
	}
	return []Verdict{{Code: cluster.CodeUnknownVM, Text: "no host has measured it yet"}}
}

func (f *fleet) verdicts(source *host, v *vm) []Verdict {
	if source.unknown != nil {
		return []Verdict{{Code: source.unknown.Code, Text: source.name + ": " + source.unknown.Text}}
	}
	if r := f.mayMove(source, v); r != nil {
		return []Verdict{{Code: r.Code, Text: r.Text}}
	}
	var out []Verdict
	now, without := source.share(nil, nil), source.share(nil, v)
	for _, target := range f.hosts {
		if target == source {
			continue
		}
		verdict := Verdict{Target: target.id}
		c, r := f.weigh(source, v, target, now, without)
		if c.vm != nil {
			verdict.Predicted = f.effect(c)
			verdict.Text = "worst predicted steal " + percent(c.before) + " -> " + percent(c.after)
		}
		if r != nil {
			verdict.Code, verdict.Text = r.Code, r.Text
		}
		out = append(out, verdict)
	}
	return out
}
