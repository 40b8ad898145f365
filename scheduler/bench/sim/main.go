// Command sim plays scenario files against the planner and prints what comes
// of them, one policy after the other and side by side.
//
//	go run ./scheduler/bench/sim [-policies demand,half-difference,off] [-story] FILE...
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/evenkeel/evenkeel/scheduler/sim"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	policies := flags.String("policies", "demand,half-difference,off", "policies to play, comma-separated")
	story := flags.Bool("story", true, "print each run's moves")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no scenario; give files, such as scheduler/bench/sim/scenarios/*.txt")
	}
	for _, file := range flags.Args() {
		if err := play(stdout, file, strings.Split(*policies, ","), *story); err != nil {
			return err
		}
	}
	return nil
}

// maxScenarioBytes bounds a scenario file.
const maxScenarioBytes = 16 << 20

func play(out io.Writer, file string, policies []string, story bool) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > maxScenarioBytes {
		return fmt.Errorf("%s: %d bytes, a scenario has at most %d", file, info.Size(), maxScenarioBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	scenario, err := sim.Parse(file, string(text))
	if err != nil {
		return err
	}
	outcomes, err := sim.Compare(scenario, policies...)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "== %s, %v, seed %d\n", file, scenario.For, scenario.Seed)
	for _, o := range outcomes {
		if story && len(o.Moves) > 0 {
			fmt.Fprintf(out, "\n%s\n", o.Policy)
			if err := o.Story(out); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(out)
	if err := sim.Table(out, outcomes); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out)
	return err
}
