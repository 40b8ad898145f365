package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Every scenario that ships can be played.
func TestScenariosPlay(t *testing.T) {
	files, err := filepath.Glob("scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var out bytes.Buffer
	args := append([]string{"-policies", "demand", "-story=false"}, files...)
	if err := run(args, &out, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "== scenarios/"); n != len(files) {
		t.Errorf("%d of %d scenarios were played:\n%s", n, len(files), out.String())
	}
}

func TestRefusesWhatIsNoScenario(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing":       {},
		"no such file":  {"scenarios/none.txt"},
		"not a text":    {"main.go"},
		"no such flag":  {"-speed", "fast"},
		"other policy":  {"-policies", "magic", "scenarios/demo.txt"},
		"not a regular": {"scenarios"},
	} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%s: no error, but %s", name, out.String())
		}
	}
}
