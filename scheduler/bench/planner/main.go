// Command planner measures the planner against its yardsticks, and prints each
// as aim, measured, met:
//
//	go run ./scheduler/bench/planner [-parts exact,hbal,demand,gmrp] [-data DIR] [-quick] [-long]
//
// It needs the instances in ../shared/data/planner, the Go tool, and Debian's
// python3 for their generator and judge; peers run beside it where they are
// installed (ganeti-htools). Each part is a file of its own, and can be run
// alone. Run it on a machine that does nothing else: times are wall time, and
// what the search reaches depends on how much of a CPU it got.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// parts are what can be measured, in the order of the table.
var parts = []struct {
	name string
	run  func(b *bench) error
}{
	{"exact", exact},
	{"hbal", hbal},
	{"demand", demand},
	{"gmrp", gmrp},
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "planner:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("planner", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("parts", "", "parts to run, comma-separated; all if empty: "+strings.Join(partNames(), ","))
	data := flags.String("data", filepath.Join("..", "shared", "data", "planner"), "where the instances lie")
	quick := flags.Bool("quick", false, "a tenth of the searching: shows that all runs, not what it reaches")
	long := flags.Bool("long", false, "also 300 s on every instance of the machine reassignment")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "evenkeel-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{data: *data, dir: dir, quick: *quick, long: *long, log: stderr}
	for _, i := range chosen {
		if err := parts[i].run(b); err != nil {
			return fmt.Errorf("%s: %w", parts[i].name, err)
		}
	}
	return b.print(stdout)
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// choose finds parts by name, in the order of the table.
func choose(names string) ([]int, error) {
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		if name != "" {
			wanted[name] = true
		}
	}
	all := len(wanted) == 0
	var chosen []int
	for i, p := range parts {
		if all || wanted[p.name] {
			chosen = append(chosen, i)
			delete(wanted, p.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("no part %q; there are %s", name, strings.Join(partNames(), ", "))
	}
	return chosen, nil
}

// bench is one run of the command.
type bench struct {
	data, dir   string
	quick, long bool
	log         io.Writer
	aims        []aim
	built       map[string]string // commands by name
}

// aim is one line of the table.
type aim struct {
	what, aim, measured string
	met                 verdict
	beside              string // peers, moves, whatever explains it
}

type verdict string

const (
	yes   verdict = "yes"
	no    verdict = "no"
	shown verdict = "-" // a figure without an aim
)

func met(ok bool) verdict {
	if ok {
		return yes
	}
	return no
}

func (b *bench) add(a aim) {
	b.aims = append(b.aims, a)
	fmt.Fprintf(b.log, "%s: %s\n", a.what, a.measured)
}

func (b *bench) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\taim\tmeasured\tmet\t")
	for _, a := range b.aims {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.what, a.aim, a.measured, a.met, a.beside)
	}
	return w.Flush()
}
