package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestSimulate plays what real daemons recorded of real guests: two were moved
// off a host that starves four. Every voter tells the same moves; without them
// the guests would have gone on starving together.
func TestSimulate(t *testing.T) {
	s, err := lab.LoadScenario("demo")
	if err != nil {
		t.Fatal(err)
	}
	d := fleet(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if err := d.Mode(ctx, cluster.ModeAuto); err != nil {
		t.Fatal(err)
	}
	if err := drill.Until(ctx, "two guests to be moved, and the moves to be measured", func() (bool, error) {
		done := 0
		moves, err := d.Moves(ctx)
		for _, m := range moves {
			if m.State == cluster.MoveDone && m.Verdict != "" {
				done++
			}
		}
		return done >= 2, err
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.Mode(ctx, cluster.ModeOff); err != nil {
		t.Fatal(err)
	}
	var moves []api.Move
	if err := drill.Until(ctx, "no move to be in flight", func() (bool, error) {
		moves, err = d.Moves(ctx)
		return settled(moves), err
	}); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"hv1", "hv2", "witness"} {
		var out api.Simulation
		if err := drill.Until(ctx, host+" to remember it", func() (bool, error) {
			out = simulated(ctx, t, d, host, "--mode", "recommend")
			return out.Columns[0].Mode == cluster.ModeOff && out.Columns[0].Moves == len(moves), nil
		}); err != nil {
			t.Fatal(err)
		}
		record, then, other := out.Columns[0], out.Columns[1], out.Columns[2]
		t.Logf("%s: record %+v\nthen %+v\nwhat-if %+v\ncontrol %+v, model %+v", host, record, then, other, out.Control, out.Model)
		if record.Done < 2 || record.EstimatedVMHours != 0 || len(out.Gaps) != 0 {
			t.Errorf("%s: the record has %d moves done of %d, %v estimated, gaps %v", host, record.Done, len(moves), record.EstimatedVMHours, out.Gaps)
		}
		if other.Moves != 0 || other.Recommended == 0 || len(out.NotMade) != len(moves) || other.EstimatedVMHours == 0 {
			t.Errorf("%s: recommending, %d moves, %d recommendations, %d real ones not made, %v VM-hours estimated", host, other.Moves, other.Recommended, len(out.NotMade), other.EstimatedVMHours)
		}
		if other.StealSecondsPerVMHour <= record.StealSecondsPerVMHour || then.Moves == 0 {
			t.Errorf("%s: steal %v s, really %v s; as set then %d moves", host, other.StealSecondsPerVMHour, record.StealSecondsPerVMHour, then.Moves)
		}
	}
	text, err := d.Lab.Exec(ctx, "hv1", "evenkeel", "policy", "set", "profile=steady", "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("evenkeel policy set profile=steady --dry-run\n%s", text)
}

func simulated(ctx context.Context, t *testing.T, d *drill.Drill, host string, args ...string) api.Simulation {
	t.Helper()
	text, err := d.Lab.Exec(ctx, host, append([]string{"evenkeel", "simulate", "--last", "1h", "--json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var out api.Simulation
	if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.Columns) != 3 {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}
