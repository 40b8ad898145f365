// Command gmrp solves instances of the machine reassignment problem of
// ROADEF/EURO 2012 with the planner's search engine, and prints the cost:
//
//	go run ./scheduler/bench/gmrp -time 60s -seed 1 -model F -initial F -out F
//
// Files are the challenge's, plain or compressed; -out gets one machine a
// process. Here are parser, table of terms and rules, and printing only: the
// search is scheduler/search. What a run prints as "again" gives the same
// result on any machine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "gmrp:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("gmrp", flag.ContinueOnError)
	flags.SetOutput(stderr)
	model := flags.String("model", "", "instance")
	initial := flags.String("initial", "", "its initial assignment")
	out := flags.String("out", "", "where to write the assignment found")
	limit := flags.Duration("time", time.Minute, "how long to search")
	seed := flags.Uint64("seed", 1, "seed of the search")
	workers := flags.Int("workers", runtime.NumCPU(), "threads of the search")
	iterations := flags.Int64("iterations", 0, "iterations of each worker, in place of -time")
	horizon := flags.Int64("horizon", 0, "iterations to cool over; 0 measures how many -time has")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *model == "" || *initial == "" || flags.NArg() > 0 || *limit <= 0 {
		return errors.New("give -model, -initial and a -time above 0, and nothing else")
	}
	begin := time.Now()
	in, err := load(*model, *initial)
	if err != nil {
		return err
	}
	b := search.Budget{Seed: *seed, Workers: *workers, Iterations: *iterations, Horizon: *horizon}
	if b.Iterations == 0 {
		b.Stop = func() bool { return time.Since(begin) > *limit }
	}
	if b.Iterations == 0 && b.Horizon == 0 {
		if b.Horizon, err = measure(in.problem(), b, begin, *limit); err != nil {
			return err
		}
	}
	r, err := search.Solve(in.problem(), b)
	if err != nil {
		return err
	}
	report(stdout, r, b, time.Since(begin))
	if *out == "" {
		return nil
	}
	return os.WriteFile(*out, []byte(strings.Trim(fmt.Sprint(r.Place), "[]")+"\n"), 0o666)
}

// measure finds how many iterations the rest of the time has: it searches for
// a thirtieth of it.
func measure(p search.Problem, b search.Budget, begin time.Time, limit time.Duration) (int64, error) {
	start := time.Now()
	b.Stop = func() bool { return time.Since(start) > limit/30 }
	r, err := search.Solve(p, b)
	if err != nil {
		return 0, err
	}
	rate := float64(r.Iterations) / time.Since(start).Seconds()
	return max(int64(rate*(limit-time.Since(begin)).Seconds()), 1), nil
}

func report(out io.Writer, r search.Result, b search.Budget, took time.Duration) {
	fmt.Fprintf(out, "cost %d before %d moved %d seconds %.1f\n", r.Cost, r.Before, r.Moves, took.Seconds())
	for _, t := range r.Terms {
		fmt.Fprintf(out, "  %-14s %d x %d\n", t.Name, t.Weight, t.Value)
	}
	fmt.Fprintf(out, "again: -seed %d -workers %d -iterations %d -horizon %d\n", b.Seed, b.Workers, r.Iterations, b.Horizon)
}
