// Command hbal balances a cluster in Ganeti's text format, by Ganeti's score,
// with the planner's search engine:
//
//	go run ./scheduler/bench/hbal -data F -util F [-moves N] [-time T] -out F
//
// -data is what hbal reads with -t and -util what it reads with -U; -out gets a
// line "VM HOST" for each VM that moves. The score is the sum over CPU, memory
// (twice) and virtual CPUs of the standard deviation of the hosts' shares; room
// for memory and the policy's ratio of virtual to real CPUs are hard. A move
// costs -move-cost of score over the number of hosts, as one host weighs in the
// score, so that it is not made for less. Secondary nodes (DRBD) and exclusion
// tags are refused: the engine's rules could say them, this command does not.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/search"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "hbal:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("hbal", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", "", "cluster, as for hbal -t")
	util := flags.String("util", "", "load of the VMs, as for hbal -U")
	out := flags.String("out", "", "where to write the moves")
	moves := flags.Int("moves", -1, "most VMs to move; below 0 any number")
	limit := flags.Duration("time", 5*time.Second, "how long to search, reading included")
	seed := flags.Uint64("seed", 1, "seed of the search")
	workers := flags.Int("workers", 1, "threads of the search")
	moveCost := flags.Float64("move-cost", 0.06, "score that a move must gain in a cluster of one host; n hosts ask for 1/n of it")
	iterations := flags.Int64("iterations", 0, "iterations of each worker, in place of -time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *data == "" || *util == "" || flags.NArg() > 0 || *limit <= 0 || !(*moveCost >= 0 && *moveCost <= 100) {
		return errors.New("give -data, -util, a -time above 0, a -move-cost from 0 to 100, and nothing else")
	}
	begin := time.Now()
	c, err := load(*data, *util)
	if err != nil {
		return err
	}
	b := search.Budget{Seed: *seed, Workers: *workers, Iterations: *iterations}
	if b.Iterations == 0 {
		b.Stop = func() bool { return time.Since(begin) > *limit }
	}
	r, err := search.Solve(c.problem(*moves, *moveCost), b)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "score %.4f before %.4f moved %d iterations %d seconds %.2f\n",
		float64(r.Terms[0].Value)/unit, float64(c.scoreBefore())/unit, r.Moves, r.Iterations, time.Since(begin).Seconds())
	if *out == "" {
		return nil
	}
	return c.write(*out, r.Place)
}

// write lists the VMs that leave their host.
func (c *cluster) write(file string, place []int32) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i, h := range place {
		if h != c.vms[i].host {
			fmt.Fprintln(w, c.vms[i].name, c.hosts[h].name)
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
