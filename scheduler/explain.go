package scheduler

import (
	"cmp"
	"slices"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Verdict is what the planner thinks of moving a VM to a target.
type Verdict struct {
	VM        string // "" if it is about a host as a whole
	VMName    string
	Source    string
	Target    string       // "" if it is about the VM, or its host, whatever the target
	Code      cluster.Code // "" if the move may be and would pay
	Text      string
	Chosen    bool           // Plan would make this move now
	Predicted cluster.Effect // zero if nothing could be predicted
	Rule      string         // id of the rule that refuses it
	Score     []cluster.ScoreTerm
}

// Explain says of a VM what Plan thinks of every other host, in the order of
// their ids; of a host, what it thinks of its VMs, each with its best target.
// Verdicts without a target come first: why the host needs no relief now, why
// nothing may move at present, why the VM may not move at all.
func Explain(in Input, id string) []Verdict {
	f := newFleet(in)
	source, v := f.host(id), (*vm)(nil)
	if source == nil {
		var lost *Verdict
		if source, v, lost = f.home(id); lost != nil {
			return []Verdict{*lost}
		}
	}
	p, known := policyOf(f.policy)
	switch {
	case !known:
		return []Verdict{about(source, &cluster.Refusal{Code: cluster.CodeModeOff, Text: Plan(in).Text})}
	case source.unknown != nil:
		return []Verdict{about(source, source.unknown)}
	}
	out := f.preamble(p, source)
	if v == nil {
		out = append(out, f.verdictsOfHost(source)...)
	} else {
		out = append(out, f.verdictsOfVM(source, v)...)
	}
	markChosen(out, Plan(in))
	return out
}

// about is a verdict about a host as a whole.
func about(h *host, r *cluster.Refusal) Verdict {
	return Verdict{Source: h.id, Code: r.Code, Text: r.Text}
}

// home finds the host that a VM is on, or says why it cannot be judged.
func (f *fleet) home(uuid string) (*host, *vm, *Verdict) {
	p, _ := f.state.Place(uuid)
	for _, id := range p.Hosts {
		h := f.host(id)
		if v := h.find(uuid); v != nil && !v.arriving {
			return h, v, nil
		}
		for _, v := range h.dark {
			if v.UUID == uuid {
				lost := aboutDark(h, v)
				return nil, nil, &lost
			}
		}
	}
	return nil, nil, &Verdict{VM: uuid, Code: cluster.CodeUnknownVM, Text: "no host reports and measures it"}
}

func aboutDark(h *host, v cluster.VM) Verdict {
	r := unmeasured(v)
	return Verdict{VM: v.UUID, VMName: v.Name, Source: h.id, Code: r.Code, Text: r.Text}
}

// preamble is why nothing moves off a host now, whatever the VM.
func (f *fleet) preamble(p policy, source *host) []Verdict {
	var out []Verdict
	for _, r := range []*cluster.Refusal{p.calls(f, source), f.closed()} {
		if r != nil {
			out = append(out, about(source, r))
		}
	}
	return out
}

func (f *fleet) verdictsOfVM(source *host, v *vm) []Verdict {
	if r := f.mayMove(source, v); r != nil {
		return []Verdict{{VM: v.uuid, VMName: v.facts.Name, Source: source.id, Code: r.Code, Text: r.Text, Rule: r.Rule}}
	}
	var out []Verdict
	without, then := source.outlook(nil, v, 0), f.thenWithout(source, v)
	for _, target := range f.hosts {
		if target != source {
			c, r := f.look(source, v, without, target)
			if r == nil {
				r = f.lookBack(&c, then)
			}
			if r == nil {
				r = f.reserved(&c)
			}
			out = append(out, f.verdict(c, r))
		}
	}
	return out
}

func (f *fleet) verdictsOfHost(source *host) []Verdict {
	byID := slices.Clone(source.vms)
	slices.SortFunc(byID, func(a, b *vm) int { return cmp.Compare(a.uuid, b.uuid) })
	var out []Verdict
	for _, v := range byID {
		note := newNotes()
		if c := f.bestTarget(source, v, note); c != nil {
			out = append(out, f.verdict(*c, nil))
			continue
		}
		note.trim()
		if len(note.kept) > 0 {
			out = append(out, f.verdict(note.kept[0].candidate, note.kept[0].refusal))
		}
	}
	for _, v := range source.dark {
		out = append(out, aboutDark(source, v))
	}
	return out
}

func (f *fleet) verdict(c candidate, r *cluster.Refusal) Verdict {
	v := Verdict{VM: c.vm.uuid, VMName: c.vm.facts.Name, Source: c.source.id, Target: c.targetID()}
	if c.predicted() {
		v.Predicted, v.Text, v.Score = f.effect(c), c.worst(), f.terms(&c)
	}
	if r != nil {
		v.Code, v.Text, v.Rule = r.Code, r.Text, r.Rule
	}
	return v
}

func markChosen(verdicts []Verdict, plan Result) {
	for _, m := range plan.Moves {
		for i := range verdicts {
			v := &verdicts[i]
			v.Chosen = v.Chosen || v.VM == m.VM && v.Target == m.Target && v.Code == ""
		}
	}
}
