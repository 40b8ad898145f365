package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// judge prints what the demo proved and fails if anything is missing.
func (s *show) judge(ctx context.Context) error {
	moves, err := s.drill.Moves(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		mark := "ok    "
		if !ok {
			mark = "WRONG "
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
		s.say("%s %s", mark, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(s.out)
	check(s.balanced(), "two guests on each host: %v", s.byHost())
	check(drill.Worst(s.before) >= demoMinimum && drill.Worst(s.after) <= demoMaximum && len(s.after) == len(s.before),
		"worst steal by schedstat over %v: %.0f %% -> %.0f %%", demoWindow, 100*drill.Worst(s.before), 100*drill.Worst(s.after))
	done := len(moves) > 0
	for _, m := range moves {
		fine := m.State == cluster.MoveDone && m.Trigger == cluster.TriggerAuto
		done = done && fine
		check(fine, "%s %s %s -> %s %s %s: %s", m.ID, m.VM, m.Source, m.Target, m.State, m.Verdict, m.Why)
	}
	check(done, "%d automatic moves, all done", len(moves))
	for _, g := range s.drill.Lab.Guests() {
		r := s.pulse.Since(g.Name, s.from)
		broken := r.Unbroken(demoGap)
		words := fmt.Sprintf("longest gap %v", r.LongestGap)
		if broken != nil {
			words = broken.Error()
		}
		check(broken == nil, "%s: %d heartbeats of one boot unbroken, %s", g.Name, r.Beats, words)
		check(s.workAfter[g.Name] > s.workBefore[g.Name], "%s: work per second %.0f -> %.0f", g.Name, s.workBefore[g.Name], s.workAfter[g.Name])
	}
	return errors.Join(wrong...)
}
