package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/scheduler/sim"
)

func played(policy string, steal float64, moves int) sim.Outcome {
	return sim.Outcome{Policy: policy, Moves: make([]sim.Move, moves), Done: moves, Figures: sim.Figures{StealPerVMHour: steal}}
}

// By hand: the bound spares 500 s, ours 460 s with 30 moves and the next best
// 400 s with 100: 92 % and 80 %, 115 % of it with 30 % of its moves.
func TestJudges(t *testing.T) {
	mine := played("demand", 140, 30)
	mine.PingPong, mine.Regretted = 1, 3
	aims := judge([]sim.Outcome{
		played("bound", 100, 0), played("foresight", 120, 200), mine,
		played("threshold", 200, 100), played("half-difference", 250, 10), played("off", 600, 0),
	})
	var out bytes.Buffer
	if err := printAims(&out, aims); err != nil {
		t.Fatal(err)
	}
	const want = `what                            aim         measured  met  beside
relief, of the bound's          >= 90 %     92.0 %    yes  foresight 96.0 % with 200 moves
relief, of the next best's      >= 100 %    115.0 %   yes  threshold 80.0 %
moves, of the next best's       <= 33.3 %   30.0 %    yes  30, threshold 100
ping-pong                       0           1         no   
regretted moves                 < 2 %       10.0 %    no   3 of 30
`
	if got := out.String(); squeeze(got) != squeeze(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func squeeze(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(out, "\n")
}

// What was not played, or spares nothing, is held against nothing.
func TestJudgesOnlyWhatWasPlayed(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []sim.Outcome
		aims     int
	}{
		"ours is missing":           {[]sim.Outcome{played("off", 600, 0), played("bound", 100, 0)}, 0},
		"ours alone":                {[]sim.Outcome{played("demand", 140, 30)}, 2},
		"no bound":                  {[]sim.Outcome{played("demand", 140, 30), played("off", 600, 0)}, 2},
		"no other policy":           {[]sim.Outcome{played("demand", 140, 30), played("bound", 100, 0), played("off", 600, 0)}, 3},
		"nothing to relieve":        {[]sim.Outcome{played("demand", 0, 0), played("bound", 0, 0), played("threshold", 0, 0), played("off", 0, 0)}, 2},
		"the other relieves nobody": {[]sim.Outcome{played("demand", 140, 30), played("bound", 100, 0), played("threshold", 700, 5), played("off", 600, 0)}, 3},
	} {
		if got := judge(c.outcomes); len(got) != c.aims {
			t.Errorf("%s: %d aims, want %d: %v", name, len(got), c.aims, got)
		}
	}
}

// The command plays a fleet of traces under each policy, and prints the tables.
func TestPlays(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "planetlab"), 0o755); err != nil {
		t.Fatal(err)
	}
	var traces strings.Builder
	for i := range 12 {
		fmt.Fprintf(&traces, "vm%d %d %d %d\n", i, 10+5*i, 90-5*i, 40)
	}
	if err := os.WriteFile(filepath.Join(data, "planetlab", "20110303.txt"), []byte(traces.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	if err := run([]string{"-quick", "-data", data, "-for", "20m", "-traces", "planetlab", "-loads", "75", "-hosts", "3", "-vms", "12"}, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"== planetlab at 75 %: 3 hosts", "foresight", "hbal-like", "relief, of the bound's", "regretted moves"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"no traces there": {"-data", t.TempDir()},
		"no such traces":  {"-data", t.TempDir(), "-traces", "google"},
		"no percentage":   {"-loads", "much"},
		"no such flag":    {"-speed", "fast"},
	} {
		var out bytes.Buffer
		if err := run(args, &out, &out); err == nil {
			t.Errorf("%s: no error, but %s", name, out.String())
		}
	}
}
