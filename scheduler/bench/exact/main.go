// Command exact plans at most so many moves in a small cluster with the
// planner's search engine, to be compared with proven optima:
//
//	go run ./scheduler/bench/exact -cluster F.json[.gz] -moves K -objective l1|maxcpu -out F
//
// The cluster is the neutral form of the generator of ../hbal; -out gets a line
// "VM HOST" for each VM that moves. Objective l1 is the sum over hosts of how
// far their shares of CPU and of memory are from the mean share, maxcpu the
// largest share of CPU. Memory is hard.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "exact:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("exact", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("cluster", "", "cluster as JSON, plain or compressed")
	moves := flags.Int("moves", 0, "most VMs to move")
	objective := flags.String("objective", "l1", "l1 or maxcpu")
	out := flags.String("out", "", "where to write the moves")
	seed := flags.Uint64("seed", 1, "seed of the search")
	workers := flags.Int("workers", 1, "threads of the search")
	iterations := flags.Int64("iterations", 2_000_000, "iterations of each worker")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *file == "" || *moves < 0 || flags.NArg() > 0 {
		return errors.New("give -cluster and -moves of 0 or more, and nothing else")
	}
	c, err := load(*file)
	if err != nil {
		return err
	}
	p, err := c.problem(*moves, *objective)
	if err != nil {
		return err
	}
	r, err := search.Solve(p, search.Budget{Seed: *seed, Workers: *workers, Iterations: *iterations})
	if err != nil {
		return err
	}
	before, err := search.New(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s %.6f before %.6f moved %d\n", *objective, float64(r.Terms[0].Value)/unit, float64(before.Terms()[0].Value)/unit, r.Moves)
	if *out == "" {
		return nil
	}
	return c.write(*out, r.Place)
}

func (c *cluster) write(file string, place []int32) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i, h := range place {
		if h != c.initial[i] {
			fmt.Fprintln(w, c.VMs[i].Name, c.Hosts[h].Name)
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
