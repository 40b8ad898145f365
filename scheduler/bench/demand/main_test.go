package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// What is measured is a fleet as it is meant: rules of all kinds cover VMs, none
// that must hold is broken, the reserve is kept, and there is something to decide.
func TestTheFleetIsAsItIsMeant(t *testing.T) {
	s, err := newFleet(40, 1200, 4)
	if err != nil {
		t.Fatal(err)
	}
	covered := map[cluster.RuleKind]int{}
	rules := s.Ruling()
	for _, r := range s.Rules {
		covered[r.Kind] += s.RuleMembers(r)
		if v := rules.Violations(r.ID); len(v) > 0 && !r.Should {
			t.Errorf("%s is broken from the start: %v", r.Name, v[0])
		}
	}
	for _, kind := range []cluster.RuleKind{cluster.RuleAffinity, cluster.RuleAntiAffinity, cluster.RuleSpread, cluster.RulePin, cluster.RuleClass, cluster.RuleDemand} {
		if covered[kind] < 15 {
			t.Errorf("%d VMs under rules of kind %s", covered[kind], kind)
		}
	}
	if s.Failover() == nil {
		t.Error("no reserve is asked for")
	}
	if r := scheduler.Plan(scheduler.Input{State: s}); len(r.Moves) != 3 {
		t.Errorf("%d moves, %s", len(r.Moves), r.Text)
	}
}

func TestPrintsALineEach(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-hosts", "12", "-vms", "240", "-times", "1", "-moves", "10"}, &out, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"relief", "decided", "fleet"} {
		if !strings.Contains(out.String(), fmt.Sprintf("%s seconds ", name)) {
			t.Errorf("no %s:\n%s", name, out.String())
		}
	}
	for _, args := range [][]string{{"-hosts", "1"}, {"-vms", "3"}, {"-speed"}, {"-times", "0"}} {
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
